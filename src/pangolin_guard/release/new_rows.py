"""A file of newly seen attacks becomes part of a dataset folder.

Enters: rows with a text, where known a label and a checkpoint, and the dataset folder that the
present model was trained on. Leaves: a folder with a sample of the old rows, the new ones often
enough to be learned, and every fifth of the new ones kept out, to see whether they were.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from pangolin_guard.errors import DatasetError
from pangolin_guard.extras import require
from pangolin_guard.runtime.bundle import file_sha256, write_json
from pangolin_guard.text.normalize import normalize
from pangolin_guard.train.datacard import DATA_FORMAT, MANIFEST
from pangolin_guard.train.decontaminate import Signatures
from pangolin_guard.train.labels import parse_label
from pangolin_guard.train.readers import read_rows
from pangolin_guard.train.recipe import Thresholds
from pangolin_guard.train.rows import guess_script
from pangolin_guard.train.shingles import sketch
from pangolin_guard.types import Checkpoint

SOURCE = "new_attacks"
"""The source that new rows are filed under, so that every figure by source shows them."""
LEAST_ATTACKS = 5
HELD_OUT = 5
SHARE = 0.12
MOST_REPEATS = 24

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class NewRows:
    """New rows for training and those kept out, and how many were left out and why."""

    train: tuple[Row, ...]
    held_out: tuple[Row, ...]
    dropped: dict[str, int]

    @property
    def attacks(self) -> int:
        """Unsafe rows for training."""
        return sum(row["label"] for row in self.train)


def read_new_rows(path: Path, references: Signatures, *, checkpoint: Checkpoint) -> NewRows:
    """Read newly seen rows.

    Args:
        path: JSON Lines, CSV or Parquet with `text`; `label` (unsafe where missing) and
            `checkpoint` are read where they are there. Benign rows are welcome: twins of the
            attacks teach what the difference is.
        references: Benchmark rows; rows that are or resemble one are left out.
        checkpoint: The checkpoint of rows without one.

    Raises:
        DatasetError: If a row cannot be read, named by number, or too few attacks are left.
    """
    rows: list[Row] = []
    dropped = {"repeated": 0, "benchmark": 0}
    seen: set[tuple[str, str]] = set()
    for number, raw in read_rows(path):
        row = _row(raw, path.name, number, checkpoint)
        key = (row["id"], row["checkpoint"])
        if key in seen:
            dropped["repeated"] += 1
            continue
        seen.add(key)
        one = sketch(row["text"])
        near, _ = references.find_near(one.minhash[None], Thresholds().contaminated)
        if references.find_inside(one) is not None or len(near):
            dropped["benchmark"] += 1
            continue
        rows.append(row)
    held = [row for label in (0, 1) for row in _fifth(rows, label)]
    ids = {id(row) for row in held}
    train = [row for row in rows if id(row) not in ids]
    if sum(row["label"] for row in train) < LEAST_ATTACKS:
        raise DatasetError(
            f"{sum(row['label'] for row in rows)} attacks are too few to learn from; it takes "
            f"{LEAST_ATTACKS + LEAST_ATTACKS // 4 + 1}, every fifth is kept out to measure with",
            source=path.name,
        )
    return NewRows(tuple(train), tuple(held), dropped)


def write_folder(
    out: Path, data: Path, new: NewRows, *, replay: int, seed: int = 42
) -> dict[str, Any]:
    """Write the dataset folder of an update; returns its manifest, which is written last.

    Args:
        out: The folder.
        data: The dataset folder that the present model was trained on.
        new: The new rows.
        replay: Old training rows to go on with, so that nothing is forgotten.
        seed: Of the sample.

    Raises:
        DatasetError: If `data` lacks a split.
    """
    arrow, parquet = require("data", "pyarrow"), require("data", "pyarrow.parquet")
    for name in ("train", "validation", "calibration"):
        if not (data / f"{name}.parquet").is_file():
            raise DatasetError(f"{data} has no {name} split", source=str(data))
    out.mkdir(parents=True, exist_ok=True)
    table = parquet.read_table(data / "train.parquet")
    rng = np.random.default_rng(seed)
    old = table.take(np.sort(rng.permutation(table.num_rows)[:replay]))
    repeats = max(1, min(MOST_REPEATS, round(SHARE * old.num_rows / len(new.train))))
    fresh = arrow.Table.from_pylist(_filled(new.train) * repeats, schema=table.schema)
    parquet.write_table(arrow.concat_tables([old, fresh]), out / "train.parquet")
    validation = parquet.read_table(data / "validation.parquet")
    kept_out = arrow.Table.from_pylist(_filled(new.held_out), schema=validation.schema)
    parquet.write_table(arrow.concat_tables([validation, kept_out]), out / "validation.parquet")
    for name in ("calibration", "holdout"):
        if (data / f"{name}.parquet").is_file():
            shutil.copyfile(data / f"{name}.parquet", out / f"{name}.parquet")
    manifest = {
        "format": DATA_FORMAT,
        "kind": "update",
        "seed": seed,
        "rows": {"train": old.num_rows + fresh.num_rows, "validation": validation.num_rows},
        "new": {"train": len(new.train), "held_out": len(new.held_out), "repeats": repeats},
        "dropped": new.dropped,
        "files": {path.name: file_sha256(path) for path in sorted(out.glob("*.parquet"))},
    }
    write_json(out / MANIFEST, manifest)
    return manifest


def _row(raw: Row | str, source: str, number: int, checkpoint: Checkpoint) -> Row:
    if isinstance(raw, str):
        raise DatasetError(raw, source=source, row=number)
    text = raw.get("text")
    if not isinstance(text, str) or not text.strip():
        raise DatasetError("no text", source=source, row=number, field="text")
    try:
        label = 1 if raw.get("label") is None else parse_label(raw["label"], None)
    except ValueError as exc:
        raise DatasetError(str(exc), source=source, row=number, field="label") from exc
    try:
        origin = Checkpoint(raw.get("checkpoint") or checkpoint)
    except ValueError as exc:
        known = ", ".join(Checkpoint)
        raise DatasetError(
            f"unknown checkpoint; known are {known}", source=source, row=number, field="checkpoint"
        ) from exc
    text = normalize(text).text
    payload = raw.get("payload")
    return {
        "id": sha256(text.encode("utf-8")).hexdigest()[:16],
        "text": text,
        "label": label,
        "checkpoint": origin.value,
        "payload": normalize(payload).text if isinstance(payload, str) and payload else None,
    }


def _fifth(rows: Sequence[Row], label: int) -> list[Row]:
    """Draw every fifth row of a label, by an order that the texts alone decide."""
    own = sorted((row for row in rows if row["label"] == label), key=lambda row: str(row["id"]))
    random.Random(0).shuffle(own)
    return own[: len(own) // HELD_OUT]


def _filled(rows: Sequence[Row]) -> list[Row]:
    """Give rows the other columns of a dataset folder."""
    return [
        {
            **row,
            "kind": SOURCE,
            "source": SOURCE,
            "lang": guess_script(row["text"]),
            "medium": None,
            "group": -1,
            "weight": 1.0,
            "augmented": None,
            "checkpoint_fixed": False,
        }
        for row in rows
    ]
