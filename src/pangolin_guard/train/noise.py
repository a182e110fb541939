"""Rows whose label is probably wrong: confident learning over a dataset's training split.

Enters: the training split. Leaves: suspects, with the probability that a model which never saw the
row (nor a near-copy) gives to the other label. The model is a logistic regression on hashed words
and word pairs, so that it does not share the blind spots of the classifier that is trained later.
Method: Northcutt, Jiang, Chuang, "Confident Learning" (arXiv 1911.00068): a row counts as
mislabeled where the other label is likelier than it is on average for rows that carry it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pangolin_guard.errors import DatasetError, InputError
from pangolin_guard.extras import require
from pangolin_guard.train.pools import HARD_KINDS, Row
from pangolin_guard.train.readers import read_rows

FOLDS = 5
MARGIN = 0.9
"""A suspect's other label has at least this probability: hard rows are worth keeping."""
_CHARS = 4000
_FEATURES = 2**20

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Suspect:
    """A row that is probably mislabeled; `p_other` is the probability of the other label."""

    id: str
    source: str
    kind: str | None
    label: int
    p_other: float


@dataclass(frozen=True, slots=True)
class NoiseReport:
    """Suspects, most certain first, the confident joint, and rows by source.

    `joint[given][likely]` counts rows that carry a label and confidently belong to another.
    """

    rows: int
    joint: tuple[tuple[int, int], tuple[int, int]]
    suspects: tuple[Suspect, ...]
    by_source: dict[str, int]

    @property
    def noise(self) -> float:
        """The estimated share of mislabeled rows, in [0, 1]."""
        return (self.joint[0][1] + self.joint[1][0]) / max(1, self.rows)

    def worst_sources(self, most: int = 20) -> list[tuple[str, int, int]]:
        """Return sources with their suspects and rows, those with the highest share first."""
        found = Counter(one.source for one in self.suspects)
        shares = [(name, n, self.by_source[name]) for name, n in found.items()]
        return sorted(shares, key=lambda item: (-item[1] / item[2], item[0]))[:most]


def find_noise(
    folder: Path, *, margin: float = MARGIN, seed: int = 42, tell: Tell | None = None
) -> NoiseReport:
    """Look for mislabeled rows in the training split of a dataset folder.

    Args:
        folder: A dataset folder; `group` keeps near-copies in one fold.
        margin: The least probability of the other label, in [0.5, 1).
        seed: Of the folds.
        tell: Called with the stage, and folds done and in all.

    Raises:
        DatasetError: If there is no training split, or a label is missing from it.
        InputError: If the margin is no such probability.
        MissingExtraError: If scikit-learn is not installed.
    """
    if not 0.5 <= margin < 1.0:
        raise InputError(f"the margin must lie in [0.5, 1), got {margin}")
    path = folder / "train.parquet"
    if not path.is_file():
        raise DatasetError(f"{path} is missing. Build the dataset first: pangolin data build")
    parquet = require("data", "pyarrow.parquet")
    columns = ["id", "text", "label", "source", "kind", "group", "payload"]
    rows = parquet.read_table(path, columns=columns).to_pylist()
    labels = np.array([row["label"] for row in rows], dtype=np.int64)
    if len(set(labels.tolist())) < 2:
        raise DatasetError("both labels are needed to look for wrong ones", source=str(path))
    groups = np.array([row["group"] for row in rows], dtype=np.int64)
    p = out_of_fold([row["text"][:_CHARS] for row in rows], labels, groups, seed=seed, tell=tell)
    joint, off = confident_joint(p, labels)
    other = p[np.arange(len(labels)), 1 - labels]
    sure = off & (other >= margin)
    chosen = [at for at in np.flatnonzero(sure).tolist() if not _is_hard(rows[at])]
    chosen.sort(key=lambda at: -other[at])
    suspects = tuple(_suspect(rows[at], float(other[at])) for at in chosen)
    by_source = Counter(str(row["source"]) for row in rows)
    return NoiseReport(len(rows), joint, suspects, dict(by_source))


def out_of_fold(
    texts: Sequence[str],
    labels: IntArray,
    groups: IntArray,
    *,
    seed: int,
    tell: Tell | None = None,
) -> FloatArray:
    """Return P(label) of every row by a model that saw no row of its group, shape (N, 2)."""
    require("train", "sklearn")
    features = require("train", "sklearn.feature_extraction.text")
    linear = require("train", "sklearn.linear_model")
    hashed = features.HashingVectorizer(
        ngram_range=(1, 2), n_features=_FEATURES, alternate_sign=False
    ).transform(texts)
    names, place = np.unique(groups, return_inverse=True)
    fold = np.random.default_rng(seed).integers(0, FOLDS, len(names))[place]
    p = np.zeros((len(labels), 2))
    for number in range(FOLDS):
        if tell is not None:
            tell("folds", number, FOLDS)
        held = fold == number
        if not held.any():
            continue
        model = linear.SGDClassifier(
            loss="log_loss", alpha=1e-6, class_weight="balanced", random_state=seed, max_iter=12
        )
        model.fit(hashed[~held], labels[~held])
        p[held] = model.predict_proba(hashed[held])
    return p


def confident_joint(
    p: FloatArray, labels: IntArray
) -> tuple[tuple[tuple[int, int], tuple[int, int]], NDArray[np.bool_]]:
    """Return the counts of given against confident labels, and which rows are off the diagonal.

    Args:
        p: Out-of-fold P(label), shape (N, 2).
        labels: Given labels in {0, 1}, shape (N,).

    Returns:
        Counts by given and likely label; a mask of shape (N,).
    """
    limits = np.array([p[labels == label, label].mean() for label in (0, 1)])
    above = p >= limits
    likely = np.where(above.any(axis=1), np.where(above, p, -1.0).argmax(axis=1), -1)
    joint = tuple(
        tuple(int(((labels == given) & (likely == seen)).sum()) for seen in (0, 1))
        for given in (0, 1)
    )
    off = (likely >= 0) & (likely != labels)
    return ((joint[0][0], joint[0][1]), (joint[1][0], joint[1][1])), off


def write_suspects(report: NoiseReport, path: Path) -> None:
    """Write suspects as JSON Lines: id, source, label and probability, no text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(asdict(one)) + "\n" for one in report.suspects)
    path.write_text("".join(lines), encoding="utf-8")


def read_suspects(path: Path | None) -> set[str]:
    """Return the ids of a file of suspects; none for None.

    Raises:
        DatasetError: If a line has no id.
    """
    if path is None:
        return set()
    ids = set()
    for number, row in read_rows(path):
        if not isinstance(row, dict) or "id" not in row:
            raise DatasetError(
                "no id; suspects come from pangolin data noise", source=path.name, row=number
            )
        ids.add(str(row["id"]))
    return ids


def _is_hard(row: Row) -> bool:
    """Whether a label is known to hold against appearances: a payload was put in, or hard benign."""
    return bool(row["payload"]) or (row["label"] == 0 and row["kind"] in HARD_KINDS)


def _suspect(row: Row, p: float) -> Suspect:
    return Suspect(str(row["id"]), str(row["source"]), row["kind"], int(row["label"]), round(p, 5))
