"""The model card: a bundle's configuration and metadata as Markdown.

Enters: what `config.json` and `metadata.json` hold. Leaves: the text of `README.md`. Every figure
comes from there; nothing is typed by hand but the notes that the maker passes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pangolin_guard.runtime.config import BundleConfig, Cell
from pangolin_guard.types import Mode

_HEADER = """---
license: apache-2.0
library_name: pangolin-guard
pipeline_tag: text-classification
tags: [prompt-injection, jailbreak, guardrail, onnx]
---

# {name}

A two-class guard model of pangolin-guard: it gives the probability that a text tries to subvert
an application built on a language model (instruction override, prompt extraction, jailbreak,
smuggled instruction). Class 0 is `safe`, class 1 is `unsafe`.

```python
from pangolin_guard import Guard

print(Guard("path/to/this/folder").check("What is the capital of Peru?").label)
```
"""
_LIMITS = """## Limits

- A classifier misses attacks and flags harmless texts; the table above says how often on rows like
  those of the calibration split. Other traffic differs: measure your own with
  `pangolin calibrate`.
- It judges text, not intent or truth: a plain harmful question without any attack counts as safe.
- It is one layer. Least privilege for tools and review of actions stay necessary.
- Texts longer than {max_tokens} tokens are read in overlapping windows, each judged alone: an
  attack spread over several windows can pass.
"""


def render_card(config: BundleConfig, metadata: Mapping[str, Any]) -> str:
    """Return the model card.

    Args:
        config: The bundle's configuration, with its thresholds.
        metadata: The content of `metadata.json`; parts that are missing are left out.
    """
    parts = [
        _HEADER.format(name=config.name),
        _facts(config, metadata),
        _thresholds(config),
        _calibration(metadata.get("calibration") or {}),
        _validation(metadata.get("validation") or {}),
        str(metadata.get("notes") or ""),
        _parity(metadata.get("export") or {}),
        _LIMITS.format(max_tokens=config.max_tokens),
        _data(metadata.get("data") or {}),
    ]
    return "\n".join(part.strip() + "\n" for part in parts if part.strip())


def write_card(folder: Path, config: BundleConfig, metadata: Mapping[str, Any]) -> None:
    """Write the model card of a bundle."""
    (folder / "README.md").write_text(render_card(config, metadata), encoding="utf-8")


def _table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    cells = list(header)
    lines = ["| " + " | ".join(cells) + " |", "|" + " --- |" * len(cells)]
    lines += ["| " + " | ".join(str(value) for value in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _temperatures(config: BundleConfig) -> str:
    own = [f"{value:g} at `{point}`" for point, value in sorted(config.temperatures.items())]
    return ", ".join([f"{config.temperature:g}", *own])


def _facts(config: BundleConfig, metadata: Mapping[str, Any]) -> str:
    export = metadata.get("export") or {}
    rows = [
        ("Starting weights", metadata.get("base_model")),
        ("Architecture", metadata.get("architecture")),
        ("Parameters", f"{metadata['parameters']:,}" if "parameters" in metadata else None),
        ("Window", f"{config.max_tokens} tokens, overlap {config.overlap}"),
        ("Weights in the file", export.get("weights")),
        ("Size of model.onnx", f"{export['bytes'] / 1e6:.1f} MB" if "bytes" in export else None),
        ("Temperature", _temperatures(config)),
        ("Made", metadata.get("created")),
        ("License", metadata.get("license", "Apache-2.0")),
    ]
    return "## Facts\n\n" + _table(("", ""), [row for row in rows if row[1]])


def _thresholds(config: BundleConfig) -> str:
    if not config.calibrated:
        return (
            "## Thresholds\n\nNot calibrated: 0.5 applies in every mode. Run "
            "`pangolin calibrate` before use."
        )
    rows = [
        _cell_row(mode.value, config.thresholds[mode].pooled)
        for mode in Mode
        if mode in config.thresholds
    ]
    return (
        "## Thresholds\n\nMeasured on this very file, on whole texts of the calibration split; "
        "intervals are 95 % Wilson. Checkpoints and lengths with enough benign rows have their "
        "own thresholds in `config.json`, the others inherit (`pooled`).\n\n"
        + _table(("Mode", "Budget", "Threshold", "False positives", "Benign rows", "Recall"), rows)
    )


def _cell_row(name: str, cell: Cell) -> tuple[object, ...]:
    recall = "" if cell.recall is None else f"{cell.recall:.1%}"
    rate = f"{cell.fpr:.2%} ({cell.fpr_low:.2%} to {cell.fpr_high:.2%})"
    return name, f"{cell.target_fpr:.1%}", f"{cell.threshold:.4f}", rate, cell.n, recall


def _calibration(figures: Mapping[str, Any]) -> str:
    if "before" not in figures or "after" not in figures:
        return ""
    before, after = figures["before"], figures["after"]
    return (
        f"Temperature fitted on {figures['rows']} rows: negative log-likelihood "
        f"{before['nll']:.4f} to {after['nll']:.4f}, expected calibration error "
        f"{before['ece']:.4f} to {after['ece']:.4f}."
    )


def _validation(figures: Mapping[str, Any]) -> str:
    named = {
        "accuracy": "Accuracy",
        "f1": "Macro-F1",
        "recall_at_1fpr": "Recall at 1 % false positives",
        "f1_own": "Macro-F1 at each row's checkpoint",
        "f1_blind": "Macro-F1, origin unknown",
    }
    rows = [(label, f"{figures[key]:.4f}") for key, label in named.items() if key in figures]
    if not rows:
        return ""
    return "## Validation split, torch weights, threshold 0.5\n\n" + _table(("", ""), rows)


def _parity(export: Mapping[str, Any]) -> str:
    rows = [
        (kind, figures["windows"], f"{figures['max']:.4f}", f"{figures['mean']:.4f}")
        for kind, figures in (export.get("parity") or {}).items()
    ]
    if not rows:
        return ""
    return (
        "## Parity with torch\n\nDifference of P(unsafe) on short, long, padded, non-Latin, code "
        "and odd texts.\n\n" + _table(("Graph", "Windows", "Largest", "Mean"), rows)
    )


def _data(data: Mapping[str, Any]) -> str:
    sources = data.get("sources") or []
    if not sources:
        return ""
    splits = ", ".join(f"{name} {rows:,}" for name, rows in (data.get("rows") or {}).items())
    rows = [
        (_plain(s["name"]), _plain(s["license"]), _plain(s.get("origin") or ""), s.get("rows", ""))
        for s in sources
    ]
    return (
        f"## Training data\n\n{_plain(data.get('description') or '')}\n\nRows: {splits}. "
        "Licenses are as recorded where each source was read; rows are those of the training "
        "split before augmentation.\n\n" + _table(("Source", "License", "Origin", "Rows"), rows)
    )


def _plain(value: object) -> str:
    """Keep a value from breaking the table."""
    return " ".join(str(value).split()).replace("|", "\\|")
