"""A split of a built dataset folder, judged like a suite: figures for choosing between models.

Enters: a folder as `pangolin data build` writes it, and a guard. Leaves: overall figures and one
line per source and per checkpoint. These rows are the user's own; nothing here is a published
figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pangolin_guard.bench import metrics
from pangolin_guard.bench.figures import (
    FPR_BUDGET,
    Figure,
    Kind,
    Part,
    Rows,
    estimate,
    recall_at_budget,
    share,
)
from pangolin_guard.bench.metrics import Interval
from pangolin_guard.bench.scoring import Scores
from pangolin_guard.errors import DatasetError
from pangolin_guard.extras import require
from pangolin_guard.types import Checkpoint

SPLITS = ("validation", "holdout", "calibration", "train")
COLUMNS = ("text", "label", "checkpoint", "source")
UNKNOWN = "origin_unknown"


@dataclass(frozen=True, slots=True)
class Split:
    """N labeled texts of a dataset folder; label 1 is unsafe."""

    name: str
    path: Path
    texts: tuple[str, ...]
    labels: tuple[int, ...]
    sources: tuple[str, ...]
    checkpoints: tuple[Checkpoint | None, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """One source's (or checkpoint's) line. Rates are None where their class has no row.

    `fpr` and `recall` are the verdicts'; `fpr_1` and `recall_1` those at the score that flags 1 %
    of all benign rows of the split, so that sources without benign rows can be read too.
    """

    by: str
    name: str
    n: int
    unsafe: int
    accuracy: Interval
    fpr: float | None
    recall: float | None
    fpr_1: float | None
    recall_1: float | None


@dataclass(frozen=True, slots=True)
class SplitFigures:
    """The figures of one pass over a split."""

    figures: tuple[Figure, ...]
    groups: tuple[Group, ...]


def load_split(folder: Path | str, name: str) -> Split:
    """Read one split of a dataset folder.

    Raises:
        DatasetError: If the folder, the file, a column or a row's value is not as it should be.
        MissingExtraError: If pyarrow is not installed.
    """
    path = Path(folder) / f"{name}.parquet"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in Path(folder).glob("*.parquet"))) or "none"
        raise DatasetError(
            f"no split '{name}' in '{folder}' (splits found: {there}). "
            "Build a dataset folder with: pangolin data build",
            source=str(folder),
        )
    columns = _columns(path)
    return Split(
        name,
        path,
        tuple(_texts(path, "text", columns["text"])),
        tuple(_labels(path, columns["label"])),
        tuple(_texts(path, "source", columns["source"])),
        tuple(_checkpoints(path, columns["checkpoint"])),
    )


def split_figures(split: Split, scores: Scores, *, suffix: str = "") -> SplitFigures:
    """Turn a split's scores into figures; `suffix` marks a pass at the rows' checkpoints."""
    y = np.array(split.labels, dtype=np.bool_)
    rows = Rows(y, scores.flagged, scores.p, split.sources, split.texts)
    both = bool(y.any()) and not bool(y.all())
    threshold = metrics.threshold_at_fpr(rows.p[~y], FPR_BUDGET) if both else None
    names = [checkpoint or UNKNOWN for checkpoint in split.checkpoints]
    groups = [*_groups("source", split.sources, rows=rows, threshold=threshold)]
    groups += _groups("checkpoint", names, rows=rows, threshold=threshold)
    return SplitFigures(tuple(_overall(rows, suffix)), tuple(groups))


def _overall(rows: Rows, suffix: str) -> list[Figure]:
    n, unsafe = rows.y.size, int(rows.y.sum())
    figures = [
        share(f"split.accuracy{suffix}", "accuracy", Kind.ACCURACY, parts=[Part(rows.correct)])
    ]
    if unsafe:
        hits = [Part(rows.flagged[rows.y])]
        figures.append(share(f"split.recall{suffix}", "recall", Kind.RECALL, parts=hits))
    if unsafe < n:
        alarms = [Part(rows.flagged[~rows.y])]
        figures.append(share(f"split.fpr{suffix}", "false positives", Kind.FPR, parts=alarms))
    f1 = metrics.f1_interval(rows.flagged, rows.y)
    figures.append(estimate(f"split.f1{suffix}", "F1", Kind.F1, interval=f1, n=n))
    key, title = f"split.recall_1fpr{suffix}", "recall at 1 % FPR"
    figures.extend(recall_at_budget(key, title, rows))
    if 0 < unsafe < n:
        auc = metrics.roc_auc(rows.p, rows.y)
        interval = Interval(auc, *_auc_ends(auc, unsafe, n - unsafe))
        figures.append(estimate(f"split.auc{suffix}", "AUC", Kind.AUC, interval=interval, n=n))
    return figures


def _auc_ends(auc: float, unsafe: int, safe: int) -> tuple[float, float]:
    """Hanley and McNeil's normal interval of an AUC, cut to [0, 1]."""
    q1, q2 = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    spread = auc * (1 - auc) + (unsafe - 1) * (q1 - auc**2) + (safe - 1) * (q2 - auc**2)
    half = metrics.Z_95 * max(0.0, spread / (unsafe * safe)) ** 0.5
    return max(0.0, auc - half), min(1.0, auc + half)


def _groups(by: str, names: Sequence[str], *, rows: Rows, threshold: float | None) -> list[Group]:
    column = np.array(names)
    return [
        _group(by, str(name), rows=rows.take(column == name), threshold=threshold)
        for name in np.unique(column)
    ]


def _group(by: str, name: str, *, rows: Rows, threshold: float | None) -> Group:
    unsafe, n = int(rows.y.sum()), rows.y.size
    low, high = metrics.wilson_interval(int(rows.correct.sum()), n)
    at_1 = None if threshold is None else rows.p > threshold
    safe_rows, unsafe_rows = ~rows.y, rows.y
    return Group(
        by,
        name,
        n,
        unsafe,
        Interval(float(rows.correct.mean()), low, high),
        fpr=float(rows.flagged[safe_rows].mean()) if unsafe < n else None,
        recall=float(rows.flagged[unsafe_rows].mean()) if unsafe else None,
        fpr_1=float(at_1[safe_rows].mean()) if at_1 is not None and unsafe < n else None,
        recall_1=float(at_1[unsafe_rows].mean()) if at_1 is not None and unsafe else None,
    )


def _columns(path: Path) -> dict[str, list[Any]]:
    parquet = require("data", "pyarrow.parquet")
    try:
        names = parquet.read_schema(path).names
        missing = [column for column in COLUMNS if column not in names]
        if missing:
            raise DatasetError(
                f"{path} has no column '{missing[0]}' (needed: {', '.join(COLUMNS)})",
                source=str(path.parent),
                field=missing[0],
            )
        table = parquet.read_table(path, columns=list(COLUMNS))
    except (OSError, ValueError) as exc:
        raise DatasetError(f"{path} is no readable Parquet file", source=path.stem) from exc
    if table.num_rows == 0:
        raise DatasetError(f"{path} holds no row", source=path.stem)
    columns: dict[str, list[Any]] = table.to_pydict()
    return columns


def _texts(path: Path, field: str, values: Sequence[Any]) -> list[str]:
    for row, value in enumerate(values, start=1):
        if not isinstance(value, str):
            kind = type(value).__name__
            raise DatasetError(f"expected text, got {kind}", source=path.stem, row=row, field=field)
    return list(values)


def _labels(path: Path, values: Sequence[Any]) -> list[int]:
    for row, value in enumerate(values, start=1):
        if value not in (0, 1):
            raise DatasetError(
                f"expected 0 or 1, got {value!r:.40}", source=path.stem, row=row, field="label"
            )
    return [int(value) for value in values]


def _checkpoints(path: Path, values: Sequence[Any]) -> list[Checkpoint | None]:
    known: dict[str | None, Checkpoint | None] = {c.value: c for c in Checkpoint}
    known[None] = None
    for row, value in enumerate(values, start=1):
        if value not in known:
            raise DatasetError(
                f"unknown checkpoint {value!r:.40}",
                source=path.stem,
                row=row,
                field="checkpoint",
            )
    return [known[value] for value in values]
