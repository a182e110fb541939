"""Tipping words as a table, Markdown and JSON, one model alone or beside another."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pangolin_guard.bench.metrics import wilson_interval
from pangolin_guard.bench.tables import Grid
from pangolin_guard.release.bias import CARRIERS, BiasResult, Tipping

REPORT_FORMAT = 1
SHOWN = 40


def grids_of(result: BiasResult, before: BiasResult | None = None) -> list[Grid]:
    """Return the summary, and the words that tip either model most."""
    runs = [result] if before is None else [before, result]
    names = ["model"] if before is None else ["before", "after"]
    summary = Grid(
        "Bias: words that tip the model by themselves",
        ("", *(f"{name}: {run.model}" for name, run in zip(names, runs, strict=True))),
        (
            ("words and n-grams", *(f"{run.words:,}" for run in runs)),
            ("flagged alone, %", *(_share(run.flagged_alone, run.words) for run in runs)),
            (
                f"tipping, of the {len(result.shortlist)} worst",
                *(str(len(r.tipping)) for r in runs),
            ),
            ("harmless sentences flagged, %", *(_share(*r.sentences_flagged) for r in runs)),
            ("mean P(unsafe) of neutral sentences", *(f"{run.neutral:.3f}" for run in runs)),
        ),
        (f"Each word stands in {len(CARRIERS)} harmless sentences; mode {result.mode}.",),
    )
    return [summary, _words(result, before)]


def to_markdown(result: BiasResult, before: BiasResult | None = None) -> str:
    """Return the report as a Markdown document."""
    lines = [f"# Bias of {result.model}", ""]
    for grid in grids_of(result, before):
        rule = ("---", *["---:"] * (len(grid.header) - 1))
        lines += [f"## {grid.title}", ""]
        lines += ["| " + " | ".join(row) + " |" for row in (grid.header, rule, *grid.rows)]
        lines += ["", *(part for note in grid.notes for part in (note, ""))]
    return "\n".join(lines)


def to_dict(result: BiasResult, before: BiasResult | None = None) -> dict[str, Any]:
    """Return the report as an object that `json.dumps` takes; `tipping` lists words alone."""
    return {
        "format": REPORT_FORMAT,
        "model": _run(result),
        "against": None if before is None else _run(before),
        "tipping": [one.word for one in result.tipping],
    }


def to_json(result: BiasResult, before: BiasResult | None = None) -> str:
    """Return the report as one line of JSON."""
    return json.dumps(to_dict(result, before), ensure_ascii=False, allow_nan=False)


def write_report(result: BiasResult, path: Path, before: BiasResult | None = None) -> None:
    """Write Markdown, or JSON where the name ends in .json; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = to_json(result, before) if path.suffix == ".json" else to_markdown(result, before)
    path.write_text(text + ("\n" if path.suffix == ".json" else ""), encoding="utf-8")


def _words(result: BiasResult, before: BiasResult | None) -> Grid:
    now = {one.word: one for one in result.shortlist}
    old = {} if before is None else {one.word: one for one in before.shortlist}
    worst = sorted(
        set(now) | set(old),
        key=lambda word: (-max(_weight(now.get(word)), _weight(old.get(word))), word),
    )[:SHOWN]
    rows = []
    for word in worst:
        sides = [now.get(word)] if before is None else [old.get(word), now.get(word)]
        rows.append((word, *(cell for side in sides for cell in _cells(side))))
    columns = ("alone", "in sentences", "flagged")
    names = (
        columns
        if before is None
        else tuple(f"{w}, {c}" for w in ("before", "after") for c in columns)
    )
    note = f"flagged: of {len(CARRIERS)} harmless sentences; P(unsafe) elsewhere."
    return Grid("The words that tip most", ("word", *names), tuple(rows), (note,))


def _weight(one: Tipping | None) -> float:
    return 0.0 if one is None else one.flagged + one.in_context


def _cells(one: Tipping | None) -> tuple[str, str, str]:
    if one is None:
        return ("–", "–", "–")
    return (f"{one.alone:.2f}", f"{one.in_context:.2f}", str(one.flagged))


def _share(hits: int, n: int) -> str:
    low, high = wilson_interval(hits, n)
    return f"{100 * hits / n:.2f} ({100 * low:.2f}–{100 * high:.2f}) of {n:,}" if n else "–"


def _run(result: BiasResult) -> dict[str, Any]:
    low, high = result.alone_interval
    flagged, sentences = result.sentences_flagged
    return {
        "name": result.model,
        "mode": str(result.mode),
        "words": result.words,
        "flagged_alone": {"n": result.flagged_alone, "low": low, "high": high},
        "sentences_flagged": {"n": flagged, "of": sentences},
        "neutral": result.neutral,
        "shortlist": [asdict(one) for one in result.shortlist],
    }
