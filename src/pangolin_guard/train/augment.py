"""The augmentation step: a dataset folder becomes a larger one of the same columns.

Enters: a folder that `build_dataset` wrote, and one with plain harmful requests. Leaves: a
folder with the old rows and, made of them split by split, new ones: attacks in documents,
disguises, frames, and the benign twin of each. New rows near a benchmark or gallery row are
dropped. The same seed gives the same rows. `manifest.json` is written last.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from pangolin_guard.errors import DatasetError, InputError
from pangolin_guard.extras import require
from pangolin_guard.runtime.bundle import file_sha256, write_json
from pangolin_guard.text.normalize import normalize
from pangolin_guard.train.datacard import DATA_FORMAT, MANIFEST, SPLITS
from pangolin_guard.train.decontaminate import (
    PACKAGED,
    Signatures,
    gallery_signatures,
    load_signatures,
    merge,
)
from pangolin_guard.train.noise import read_suspects
from pangolin_guard.train.pairs import load_pairs
from pangolin_guard.train.phrases import load_phrases
from pangolin_guard.train.pools import HARD_KINDS, Pools, Row, make_pools
from pangolin_guard.train.readers import read_rows
from pangolin_guard.train.recipe import Thresholds
from pangolin_guard.train.shingles import sketch
from pangolin_guard.train.steps import NEEDS, STEPS, Kit

COUNTS: Mapping[str, int] = {
    "splice_ask": 4200,
    "splice_attack": 4200,
    "bare_ask": 1700,
    "bare_payload": 600,
    "frame": 8000,
    "hard_frame": 1500,
    "override": 3500,
    "trigger": 5000,
    "tipping": 4000,
    "encode": 150,
    "respell": 1000,
    "suffix": 800,
    "tool_note": 2000,
    "memory": 1000,
    "plan": 1500,
    "response": 2000,
    "pair": 40000,
}
CALIBRATED = frozenset(["frame", "hard_frame", "override", "trigger", "suffix"])
"""Steps that the calibration split gets: those whose benign rows are like what users write.

A false-positive budget is meant for real traffic. Disguises and quoted attacks are far more common
among augmented rows than there, and of the agents' phrases too few are kept from training.
"""
FILLER = "corpus"
"""The kind of general text: carriers for the training split, too easy to set a threshold by."""
PLAIN_CAP = 300
HARD_SCORE = 0.1
"""A benign row that a model gives this P(unsafe) is worth training on, however many like it."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class AugmentOptions:
    """How much to make.

    `counts`: calls of each step for the training split; other splits get their share by rows, the
    calibration split of the steps in `CALIBRATED` alone.
    A call makes one to three rows. `plain_cap`: benign rows of one source, outside of the kinds
    that a guard is prone to flag, that the training split keeps; 0 keeps all. `signatures`: what
    to keep clear of. `hard`: what `pangolin scan` wrote of the training
    split; benign rows that it scored `HARD_SCORE` or more stay beyond the cap.
    `tipping`: the JSON of `pangolin train report`; its words get benign messages around them, which
    the training split alone receives. `without`: suspects of `pangolin data noise`, left out of it.
    """

    seed: int = 42
    counts: Mapping[str, int] = field(default_factory=dict)
    plain_cap: int = PLAIN_CAP
    signatures: Path = PACKAGED
    hard: Path | None = None
    tipping: Path | None = None
    without: Path | None = None
    progress: Progress | None = None

    def __post_init__(self) -> None:
        """Refuse steps that do not exist and counts below 0."""
        if self.plain_cap < 0:
            raise InputError(f"the plain cap must not be negative, got {self.plain_cap}")
        for name, count in self.counts.items():
            if name not in STEPS:
                raise InputError(f"unknown step {name!r}; the steps are {', '.join(STEPS)}")
            if count < 0:
                raise InputError(f"the count of {name} must not be negative, got {count}")

    def tell(self, stage: str, done: int, total: int) -> None:
        """Report progress, if anyone listens."""
        if self.progress is not None:
            self.progress(stage, done, total)

    @property
    def resolved(self) -> dict[str, int]:
        """The count of every step."""
        return {name: self.counts.get(name, COUNTS[name]) for name in STEPS}


def augment_dataset(
    source: Path | str, harmful: Path | str, out: Path | str, *, options: AugmentOptions
) -> dict[str, Any]:
    """Write an augmented copy of a dataset folder.

    Args:
        source: A dataset folder.
        harmful: A dataset folder of plain harmful requests.
        out: The folder to write; must not hold a finished data set.
        options: Seed and counts.

    Returns:
        The manifest: rows by split, step and label, and what was dropped.

    Raises:
        DatasetError: If a folder is unfinished, or `out` is taken.
    """
    source, harmful, out = Path(source), Path(harmful), Path(out)
    parent = _manifest(source)
    _manifest(harmful)
    if (out / MANIFEST).exists():
        raise DatasetError(f"{out} already holds a data set; choose another folder or remove it")
    out.mkdir(parents=True, exist_ok=True)
    avoid = _references(options)
    base = {name: _read(source, name) for name in SPLITS if (source / f"{name}.parquet").exists()}
    if not base.get("train"):
        raise DatasetError(f"{source} has no training rows; build it with: pangolin data build")
    report: dict[str, Any] = {"rows": {}, "made": {}, "dropped": {}}
    n_train = len(base["train"])
    for name, every in base.items():
        share = len(every) / n_train
        suspects = read_suspects(options.without) if name == "train" else set()
        rows = [row for row in every if row["id"] not in suspects]
        asked = _read(harmful, _harmful_split(name))
        made = list(_make(name, rows, asked, share=share, options=options))
        options.tell(f"{name}: compare", 0, len(made))
        fresh, dropped = _screen(made, {row["id"] for row in rows}, avoid)
        stay = _staying(name, rows, options)
        dropped["filler" if name == "calibration" else "plain_cap"] = len(rows) - len(stay)
        old = [{**row, "augmented": None, "checkpoint_fixed": False} for row in stay]
        _write(out / f"{name}.parquet", old + fresh, source / f"{name}.parquet")
        dropped["suspect"] = len(every) - len(rows)
        report["rows"][name] = len(old) + len(fresh)
        report["made"][name] = dict(
            sorted(Counter(f"{row['augmented']}|{row['label']}" for row in fresh).items())
        )
        report["dropped"][name] = dict(sorted(dropped.items()))
    manifest = _describe(out, source, harmful, options) | report | {"parent": parent}
    write_json(out / MANIFEST, manifest)
    return manifest


def _harmful_split(name: str) -> str:
    return "validation" if name == "holdout" else name


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise DatasetError(
            f"{folder} is not a finished data set (no {MANIFEST}); run pangolin data build first"
        )
    loaded = json.loads(path.read_text(encoding="utf-8"))
    return dict(loaded)


def _read(folder: Path, split: str) -> list[Row]:
    parquet = require("data", "pyarrow.parquet")
    rows: list[Row] = parquet.read_table(folder / f"{split}.parquet").to_pylist()
    return rows


def _make(
    split: str,
    rows: Sequence[Row],
    harmful: Sequence[Row],
    *,
    share: float,
    options: AugmentOptions,
) -> Iterator[Row]:
    """Run every step its number of times; each call has a seed of its own."""
    pools = make_pools(rows, harmful)
    phrases = load_phrases(evaluation=split != "train")
    pairs = load_pairs(evaluation=split != "train")
    words = _tipping_words(options.tipping) if split == "train" else ()
    for name, count in options.resolved.items():
        if split != "train" and not _possible(name, pools):
            continue
        if split == "calibration" and name not in CALIBRATED:
            continue
        calls = round(count * share)
        for call in range(calls):
            if call % 500 == 0:
                options.tell(f"{split}: {name}", call, calls)
            rng = random.Random(f"{options.seed}:{split}:{name}:{call}")
            for row in STEPS[name](Kit(pools, phrases, rng, pairs, words)):
                yield _finished(row, name)


def _staying(split: str, rows: Sequence[Row], options: AugmentOptions) -> Sequence[Row]:
    """Return the rows of the parent that a split keeps."""
    if split == "calibration":
        return [row for row in rows if row["kind"] != FILLER]
    return _thinned(rows, options) if split == "train" else rows


def _thinned(rows: Sequence[Row], options: AugmentOptions) -> list[Row]:
    """Keep at most `plain_cap` easy benign rows of each source, drawn by the seed."""
    if options.plain_cap == 0:
        return list(rows)
    order = list(range(len(rows)))
    random.Random(f"{options.seed}:plain_cap").shuffle(order)
    left: Counter[str] = Counter()
    stay = set()
    hard = _hard_ids(options.hard)
    for at in order:
        row = rows[at]
        if row["label"] == 0 and row["kind"] not in HARD_KINDS and row["id"] not in hard:
            left[row["source"]] += 1
            if left[row["source"]] > options.plain_cap:
                continue
        stay.add(at)
    return [row for at, row in enumerate(rows) if at in stay]


def _hard_ids(path: Path | None) -> set[str]:
    """Return the ids of the rows that a scan scored high (hard-example mining).

    Raises:
        DatasetError: If the file is not what `pangolin scan` writes of a dataset's split.
    """
    if path is None:
        return set()
    ids = set()
    for number, row in read_rows(path):
        if not isinstance(row, dict) or not {"id", "p_unsafe"} <= set(row):
            raise DatasetError(
                "no id and p_unsafe; --hard takes what pangolin scan wrote of train.parquet",
                source=path.name,
                row=number,
            )
        if float(row["p_unsafe"]) >= HARD_SCORE:
            ids.add(str(row["id"]))
    return ids


def _tipping_words(path: Path | None) -> tuple[str, ...]:
    """Return the words of a bias report.

    Raises:
        DatasetError: If the file is no such report.
    """
    if path is None:
        return ()
    try:
        words = json.loads(path.read_text(encoding="utf-8"))["tipping"]
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise DatasetError(
            "no list of tipping words; make it with: pangolin train report --report words.json",
            source=path.name,
        ) from exc
    return tuple(str(word) for word in words)


def _files_of(options: AugmentOptions) -> tuple[tuple[str, Path | None], ...]:
    """Return the files that decide what is made, besides the data."""
    return (("hard", options.hard), ("tipping", options.tipping), ("without", options.without))


def _possible(step: str, pools: Pools) -> bool:
    """Tell whether an evaluation split has all that a step draws from."""
    return all(len(getattr(pools, name)) for name in NEEDS.get(step, ("asks", "attacks")))


def _finished(row: Row, step: str) -> Row:
    text = normalize(row["text"]).text
    payload = row.get("payload")
    return {
        **row,
        "text": text,
        "payload": normalize(payload).text if payload else None,
        "id": sha256(text.encode("utf-8")).hexdigest()[:16],
        "checkpoint": None if row["checkpoint"] is None else str(row["checkpoint"]),
        "weight": 1.0,
        "augmented": step,
        "checkpoint_fixed": bool(row.get("checkpoint_fixed", False)),
    }


def _references(options: AugmentOptions) -> Signatures:
    parts = [load_signatures(options.signatures)]
    gallery = gallery_signatures()
    return merge([*parts, gallery]) if gallery is not None else parts[0]


def _screen(
    made: Sequence[Row], known: set[str], avoid: Signatures
) -> tuple[list[Row], Counter[str]]:
    """Drop empty and repeated rows and those that hold or resemble a benchmark row."""
    dropped: Counter[str] = Counter()
    seen: set[tuple[str, str | None]] = set()
    kept: list[Row] = []
    sketches = []
    for row in made:
        key = (row["id"], row["checkpoint"])
        if not row["text"].strip():
            dropped["empty"] += 1
            continue
        if key in seen or (row["id"] in known and not row["checkpoint_fixed"]):
            dropped["repeated"] += 1
            continue
        text = sketch(row["text"])
        if avoid.find_inside(text) is not None:
            dropped["contaminated"] += 1
            continue
        seen.add(key)
        kept.append(row)
        sketches.append(text.minhash)
    if not kept:
        return kept, dropped
    near, _ = avoid.find_near(np.stack(sketches), Thresholds().contaminated)
    close = set(near.tolist())
    dropped["contaminated"] += len(close)
    return [row for at, row in enumerate(kept) if at not in close], dropped


def _write(path: Path, rows: Sequence[Row], like: Path) -> None:
    arrow, parquet = require("data", "pyarrow"), require("data", "pyarrow.parquet")
    schema = parquet.read_schema(like)
    for name, kind in (("augmented", arrow.string()), ("checkpoint_fixed", arrow.bool_())):
        if name not in schema.names:
            schema = schema.append(arrow.field(name, kind))
    parquet.write_table(arrow.Table.from_pylist(list(rows), schema=schema), path)


def _describe(out: Path, source: Path, harmful: Path, options: AugmentOptions) -> dict[str, Any]:
    files = {path.name: file_sha256(path) for path in sorted(out.glob("*.parquet"))}
    return {
        "format": DATA_FORMAT,
        "kind": "augmented",
        "seed": options.seed,
        "counts": options.resolved,
        "plain_cap": options.plain_cap,
        **{name: None if path is None else file_sha256(path) for name, path in _files_of(options)},
        "files": files,
        "from": {
            "data": file_sha256(source / MANIFEST),
            "harmful": file_sha256(harmful / MANIFEST),
        },
    }
