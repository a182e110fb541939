"""Small sources and recipes for tests of the data step; every text is made up here."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

WORDS = [f"{stem}{at}" for stem in ("kettle", "paint", "harbor", "violin") for at in range(110)]


def sentences(count: int, seed: int = 0, *, length: int = 12) -> list[str]:
    """Return texts that share words but are no near-copies of each other."""
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=length)) for _ in range(count)]


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """Write JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_recipe(folder: Path, *sources: dict[str, Any], **settings: Any) -> Path:
    """Write a recipe; each source gets a license and, by its name, a path."""
    filled = [
        {"license": "MIT", **({} if "url" in one else {"path": f"{one['name']}.jsonl"}), **one}
        for one in sources
    ]
    path = folder / "recipe.yaml"
    path.write_text(json.dumps({"name": "test", **settings, "sources": filled}), encoding="utf-8")
    return path


def read_split(folder: Path, split: str) -> list[dict[str, Any]]:
    """Return the rows of one Parquet file."""
    import pyarrow.parquet as pq

    return pq.read_table(folder / f"{split}.parquet").to_pylist()


def read_dropped(folder: Path) -> list[dict[str, Any]]:
    """Return the records of dropped.jsonl."""
    return [json.loads(line) for line in (folder / "dropped.jsonl").read_text().splitlines()]
