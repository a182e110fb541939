"""What is in a data set folder, counted from its Parquet files.

A folder enters, a dict of counts leaves. Works for every folder of the data format, whoever
wrote it; the hashes of the manifest are checked on the way.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from pangolin_guard.errors import DatasetError
from pangolin_guard.extras import require
from pangolin_guard.runtime.bundle import file_sha256
from pangolin_guard.train.datacard import LENGTHS, MANIFEST, SPLITS, length_name

_FIELDS = ("source", "checkpoint", "kind", "lang")
_QUANTILES = (0.05, 0.5, 0.95, 1.0)


def read_manifest(folder: Path | str) -> dict[str, Any]:
    """Return a data set's manifest.

    Raises:
        DatasetError: If the folder has none, as when its build did not end, or a broken one.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise DatasetError(
            f"{folder} is no finished data set: it has no {MANIFEST}, which is written last. "
            "Run: pangolin data build RECIPE --out FOLDER"
        )
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise DatasetError(f"{path} is not valid JSON; build the data set again") from exc
    return manifest


def dataset_stats(folder: Path | str) -> dict[str, Any]:
    """Count a data set folder.

    Args:
        folder: A finished data set.

    Returns:
        Rows by split and label, and over all splits by source, checkpoint, kind and language;
        quantiles of the length in characters; what the build left out.

    Raises:
        DatasetError: If the folder is unfinished or a file is not the one of the manifest.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    _verify(folder, manifest)
    pq = require("data", "pyarrow.parquet", "pyarrow")
    compute = require("data", "pyarrow.compute")
    splits: dict[str, dict[str, int]] = {}
    by_field: dict[str, Counter[tuple[str, int]]] = {name: Counter() for name in _FIELDS}
    lengths: list[np.ndarray] = []
    for split in SPLITS:
        path = folder / f"{split}.parquet"
        if not path.is_file():
            continue
        table = pq.read_table(path, columns=["text", "label", *_FIELDS])
        labels = table["label"].to_pylist()
        splits[split] = {
            "rows": len(labels),
            "safe": labels.count(0),
            "unsafe": labels.count(1),
        }
        for name in _FIELDS:
            values = table[name].to_pylist()
            by_field[name].update(zip((str(v or "-") for v in values), labels, strict=True))
        lengths.append(compute.utf8_length(table["text"]).to_numpy())
    return {
        "name": manifest.get("name", folder.name),
        "splits": splits,
        **{name: _by_label(counts) for name, counts in by_field.items()},
        "chars": _lengths(np.concatenate(lengths) if lengths else np.zeros(0, np.int64)),
        "dropped": manifest.get("dropped", {}),
    }


def _verify(folder: Path, manifest: dict[str, Any]) -> None:
    for name, entry in manifest.get("files", {}).items():
        wanted = entry["sha256"] if isinstance(entry, dict) else entry
        path = folder / name
        if not path.is_file():
            raise DatasetError(f"{path} is missing, though the manifest names it; build again")
        if file_sha256(path) != wanted:
            raise DatasetError(f"{path} is not the file that the manifest describes; build again")


def _by_label(counts: Counter[tuple[str, int]]) -> dict[str, dict[str, int]]:
    """Value -> {safe, unsafe}, most rows first."""
    result: dict[str, dict[str, int]] = {}
    for (value, label), rows in counts.items():
        result.setdefault(value, {"safe": 0, "unsafe": 0})["unsafe" if label else "safe"] += rows
    order = sorted(result, key=lambda value: (-sum(result[value].values()), value))
    return {value: result[value] for value in order}


def _lengths(chars: np.ndarray) -> dict[str, Any]:
    buckets = [(length_name(high), high) for high in LENGTHS]
    last = length_name(LENGTHS[-1] + 1)
    places = np.searchsorted([high for _, high in buckets], chars, side="left")
    counts = np.bincount(places, minlength=len(buckets) + 1)
    quantiles = np.quantile(chars, _QUANTILES, method="lower") if len(chars) else []
    return {
        "rows": dict(zip([*(name for name, _ in buckets), last], counts.tolist(), strict=True)),
        "quantiles": {
            str(at): int(value) for at, value in zip(_QUANTILES, quantiles, strict=False)
        },
    }
