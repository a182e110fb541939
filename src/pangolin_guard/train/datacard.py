"""The folder that a build leaves: Parquet files, dropped rows, plot, card and manifest.

A `Summary` enters, files leave; `manifest.json` last. No text of a row is in any file but the
Parquet ones.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pangolin_guard._version import __version__
from pangolin_guard.extras import require
from pangolin_guard.runtime.bundle import file_sha256, write_json
from pangolin_guard.text.normalize import NORMALIZE_VERSION
from pangolin_guard.train.collect import Collected
from pangolin_guard.train.decontaminate import Signatures
from pangolin_guard.train.dedupe import Pool
from pangolin_guard.train.neighbors import IntArray
from pangolin_guard.train.plot import draw_histograms
from pangolin_guard.train.recipe import Recipe
from pangolin_guard.train.rows import Dropped, Example

MANIFEST = "manifest.json"
DATA_FORMAT = 1
SPLITS = ("train", "validation", "calibration", "holdout")
LENGTHS = (64, 256, 1024, 4096, 16384)


def length_name(chars: int) -> str:
    """Return the length class of a text in characters, such as "65-256"."""
    low = 0
    for high in LENGTHS:
        if chars <= high:
            return f"{low}-{high}"
        low = high + 1
    return f"{low}-"


@dataclass(frozen=True)
class Summary:
    """One build: the recipe, what its sources gave, and what became of each row.

    `groups` and `splits` speak of the pool's living examples, in their order; `conflicts` is
    the number of texts that stood in the pool under both labels.
    """

    recipe: Recipe
    collected: Sequence[Collected]
    pool: Pool
    groups: IntArray
    splits: Sequence[str]
    signatures: Signatures
    conflicts: int

    @cached_property
    def rows(self) -> list[tuple[str, Example, int]]:
        """Split, example and group number of each row that stays."""
        alive = self.pool.alive.tolist()
        return [
            (split, self.pool.examples[at], group)
            for split, at, group in zip(self.splits, alive, self.groups.tolist(), strict=True)
        ]

    @cached_property
    def dropped(self) -> list[Dropped]:
        """Every row that does not stay, by source in the recipe's order, then by row."""
        left = [one for part in self.collected for one in part.dropped]
        for at, reason in self.pool.reasons.items():
            example = self.pool.examples[at]
            left.append(Dropped(example.source, example.row, None, reason))
        place = {source.name: at for at, source in enumerate(self.recipe.sources)}
        return sorted(left, key=lambda one: (place[one.source], one.row))

    def split_counts(self) -> dict[str, dict[str, int]]:
        """Return rows, safe and unsafe ones of each split."""
        cells = Counter((split, example.label) for split, example, _ in self.rows)
        return {
            split: {
                "rows": cells[split, 0] + cells[split, 1],
                "safe": cells[split, 0],
                "unsafe": cells[split, 1],
            }
            for split in SPLITS
            if split != "holdout" or cells[split, 0] + cells[split, 1]
        }


def write_folder(summary: Summary, out: Path) -> None:
    """Write all files of a build, the manifest last."""
    out.mkdir(parents=True, exist_ok=True)
    (out / MANIFEST).unlink(missing_ok=True)
    written = []
    for split in SPLITS:
        path = out / f"{split}.parquet"
        rows = [(example, group) for name, example, group in summary.rows if name == split]
        if rows or split != "holdout":
            write_parquet(rows, summary.recipe, path)
            written.append(path)
        else:
            path.unlink(missing_ok=True)
    written.append(_write_dropped(summary.dropped, out / "dropped.jsonl"))
    draw_histograms(
        [(split, example.label, len(example.text)) for split, example, _ in summary.rows],
        out / "histograms.png",
    )
    manifest = _manifest(summary, written)
    (out / "README.md").write_text(data_card(manifest), encoding="utf-8")
    write_json(out / MANIFEST, manifest)


def write_parquet(rows: Iterable[tuple[Example, int]], recipe: Recipe, path: Path) -> None:
    """Write examples with their group numbers; equal rows give equal bytes."""
    pa = require("data", "pyarrow", "pyarrow.parquet")
    weights = {source.name: source.weight for source in recipe.sources}
    rows = list(rows)
    examples = [example for example, _ in rows]
    text_columns = ("checkpoint", "kind", "source", "lang", "medium", "payload")
    table = pa.table(
        {
            "text": pa.array([one.text for one in examples], pa.string()),
            "label": pa.array([one.label for one in examples], pa.int8()),
            **{
                name: pa.array([getattr(one, name) for one in examples], pa.string())
                for name in text_columns
            },
            "group": pa.array([group for _, group in rows], pa.int64()),
            "weight": pa.array([weights[one.source] for one in examples], pa.float32()),
            "id": pa.array([one.id for one in examples], pa.string()),
        }
    )
    require("data", "pyarrow.parquet").write_table(table, path, compression="zstd")


def _write_dropped(dropped: Iterable[Dropped], path: Path) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for one in dropped:
            record = {
                "source": one.source,
                "row": one.row,
                "field": one.field,
                "reason": one.reason,
            }
            file.write(json.dumps(record) + "\n")
    return path


def _manifest(summary: Summary, written: Sequence[Path]) -> dict[str, Any]:
    recipe = summary.recipe
    content = recipe.model_dump(mode="json", by_alias=True)
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return {
        "format": DATA_FORMAT,
        "name": recipe.name,
        "description": recipe.description,
        "pangolin_guard": __version__,
        "made_with": {name: version(name) for name in ("datasketch", "numpy", "pyarrow")},
        "normalize_version": NORMALIZE_VERSION,
        "seed": recipe.seed,
        "recipe_sha256": digest,
        "thresholds": recipe.thresholds.model_dump(),
        "checked_against": list(summary.signatures.suites),
        "reference_texts": len(summary.signatures),
        "label_conflicts": summary.conflicts,
        "splits": summary.split_counts(),
        "files": {
            path.name: {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
            for path in written
        },
        "dropped": dict(sorted(Counter(one.reason for one in summary.dropped).items())),
        "sources": list(_sources(summary)),
        "counts": _table(summary),
    }


def _sources(summary: Summary) -> Iterator[dict[str, Any]]:
    """One record a source of the recipe, used or not."""
    kept = Counter((one.source, split) for split, one, _ in summary.rows)
    labels = Counter((one.source, one.label) for _, one, _ in summary.rows)
    dropped: dict[str, Counter[str]] = {}
    for one in summary.dropped:
        dropped.setdefault(one.source, Counter())[one.reason] += 1
    parts = {part.source: part for part in summary.collected}
    for source in summary.recipe.sources:
        record: dict[str, Any] = {
            "name": source.name,
            "license": source.license,
            "origin": source.origin or source.hub or source.url,
            "used": source.use,
        }
        if not source.use:
            yield {**record, "why": source.why}
            continue
        part = parts[source.name]
        yield {
            **record,
            "why": source.why,
            "files": part.sha256,
            "read": part.rows_read,
            "kept": {split: kept[source.name, split] for split in SPLITS},
            "safe": labels[source.name, 0],
            "unsafe": labels[source.name, 1],
            "dropped": dict(sorted(dropped.get(source.name, Counter()).items())),
        }


def _table(summary: Summary) -> list[dict[str, Any]]:
    """Rows by split × source × label × language × length in characters."""
    cells = Counter(
        (split, one.source, one.label, one.lang, length_name(len(one.text)))
        for split, one, _ in summary.rows
    )
    names = ("split", "source", "label", "lang", "chars")
    return [
        {**dict(zip(names, cell, strict=True)), "rows": rows}
        for cell, rows in sorted(cells.items())
    ]


def data_card(manifest: dict[str, Any]) -> str:
    """Return the data card in Markdown, made from the manifest alone."""
    lines = [
        f"# Data set `{manifest['name']}`",
        "",
        manifest["description"].strip(),
        "",
        f"Made by pangolin-guard {manifest['pangolin_guard']} with seed {manifest['seed']}. "
        "Label 1 (unsafe): the text tries to subvert an application built on a language model. "
        "Label 0 (safe): it does not.",
        "",
        "| split | rows | safe | unsafe |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {split} | {counts['rows']} | {counts['safe']} | {counts['unsafe']} |"
        for split, counts in manifest["splits"].items()
    ]
    lines += ["", "![Lengths and classes](histograms.png)", "", *_card_dropped(manifest)]
    return "\n".join([*lines, "", *_card_sources(manifest)]) + "\n"


def _card_dropped(manifest: dict[str, Any]) -> list[str]:
    limits = manifest["thresholds"]
    return [
        "## What was left out",
        "",
        f"Near-duplicates: estimated Jaccard similarity of words and word pairs of at least "
        f"{limits['duplicate']}; contamination: {limits['contaminated']}, or the whole reference "
        f"text inside the row; rows from {limits['group']} on never stand in two splits. "
        f"{manifest['label_conflicts']} texts stood under both labels.",
        f"Checked against {manifest['reference_texts']} reference texts: "
        f"{', '.join(manifest['checked_against'])}.",
        "",
        "| reason | rows |",
        "| --- | ---: |",
        *(f"| {reason} | {rows} |" for reason, rows in manifest["dropped"].items()),
    ]


def _card_sources(manifest: dict[str, Any]) -> list[str]:
    lines = [
        "## Sources",
        "",
        "| source | license | read | safe | unsafe | held out |",
        "| --- | --- | ---: | ---: | ---: | --- |",
    ]
    unused = []
    for source in manifest["sources"]:
        if source["used"]:
            held = "yes" if source["kept"]["holdout"] else ""
            lines.append(
                f"| {source['name']} | {source['license']} | {source['read']} | "
                f"{source['safe']} | {source['unsafe']} | {held} |"
            )
        else:
            unused.append(f"- {source['name']} ({source['license']}): {source['why']}")
    return [*lines, "", "## Sources not used", "", *unused] if unused else lines
