"""A result as plain grids of words and percentages, made once for terminal and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pangolin_guard.bench.compare import Comparison, Word
from pangolin_guard.bench.figures import AT, BIPIA_NOTE, PINT_NOTE, Figure
from pangolin_guard.bench.latency import HOPELESS, LatencyResult, Timing
from pangolin_guard.bench.run import BenchmarkResult, ModelRun
from pangolin_guard.bench.splits import Group

NONE = "–"
GROUPS_144 = ("Claude 3.7", "Gemini Flash 2.0", "PangolinGuard-large", "PangolinGuard-base")
PROTOCOL = ("over_defense", "benign", "malicious", "average")
SUITE_PREFIXES = ("notinject", "bipia", "wildguard", "deepset_test", "recall_1fpr", "split.")


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: title, column names, rows of the same width, remarks below it."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def grids_of(result: BenchmarkResult) -> list[Grid]:
    """Return the grids of everything that was measured; empty ones are left out."""
    grids = [_pangolin144(result), _protocol(result), _figures(result), _comparisons(result)]
    for number, one in enumerate(result.model.splits):
        view = "origin unknown" if number == 0 else "each row at its checkpoint"
        for by in ("source", "checkpoint"):
            groups = [group for group in one.groups if group.by == by]
            grids.append(_groups(f"By {by}, {view}", groups))
    if result.latency is not None:
        grids.append(_latency(result.latency))
    return [grid for grid in grids if grid.rows]


def heading(result: BenchmarkResult) -> list[str]:
    """Return the lines that say what was measured: model, mode, thresholds, machine."""
    environment, lines = result.environment, []
    for run in (result.model, result.other):
        if run is not None:
            lines.append(f"Model {run.name}, mode {result.mode}{_thresholds(run)}")
    versions = ", ".join(f"{name} {number}" for name, number in environment.versions.items())
    lines.append(
        f"{result.date}; {environment.cpu}, {environment.cores} cores, {environment.system}; "
        f"Python {environment.python}; {versions}"
    )
    changed = [suite.spec.title for suite in result.suites if not suite.as_published]
    if changed:
        lines.append(
            f"Not the files that published figures of this package are from: {', '.join(changed)}"
        )
    return lines


def percent(value: float | None) -> str:
    """Return a rate as a percentage with one digit, without the sign."""
    return NONE if value is None else f"{100 * value:.1f}"


def with_interval(figure: Figure | None) -> str:
    """Return a figure as "88.9 (82.7–93.0)"."""
    if figure is None:
        return NONE
    return f"{percent(figure.value)} ({percent(figure.low)}–{percent(figure.high)})"


def said(comparison: Comparison) -> str:
    """Return a comparison's word with the difference in points, where it was paired."""
    if comparison.difference is None:
        return str(comparison.word)
    d = comparison.difference
    return f"{comparison.word}: {100 * d.value:+.1f} ({100 * d.low:+.1f} to {100 * d.high:+.1f})"


def is_headline(comparison: Comparison) -> bool:
    """Whether a comparison is of a whole suite, and not in the table of the protocol already."""
    suite, _, figure = comparison.figure.partition(".")
    if suite == "pangolin144":
        return figure.startswith("accuracy")
    return suite != "protocol" or comparison.difference is not None


def _thresholds(run: ModelRun) -> str:
    parts = []
    for values, where in (
        (run.thresholds_blind, "origin unknown"),
        (run.thresholds_at_checkpoint, "at checkpoints"),
    ):
        if values:
            parts.append(f"{' / '.join(f'{value:.3f}' for value in values)} ({where})")
    return f", thresholds {', '.join(parts)}" if parts else ""


def _pangolin144(result: BenchmarkResult) -> Grid:
    ours = {figure.key: figure for figure in result.model.figures}
    others = {} if result.other is None else {f.key: f for f in result.other.figures}
    theirs = {(c.figure, c.other): c.theirs.value for c in result.comparisons}
    rows = []
    for figure in result.model.figures:
        if not figure.key.startswith("pangolin144.") or figure.at_checkpoint:
            continue
        cells = [figure.title.replace("_", " "), str(figure.n), with_interval(figure)]
        cells.append(with_interval(ours.get(figure.key + AT)))
        if result.other is not None:
            cells.append(with_interval(others.get(figure.key)))
        cells += [percent(theirs.get((figure.key, name))) for name in GROUPS_144]
        rows.append(tuple(cells))
    second = () if result.other is None else (result.other.name,)
    header = ("144 rows", "n", result.model.name, "at checkpoint", *second, *GROUPS_144)
    notes = (
        "Accuracy in %, with 95 % Wilson intervals; the origin of every row unknown, then each row "
        "at its checkpoint (BIPIA a document, the rest user input).",
        "Claude and Gemini: computed from their stored answers. PangolinGuard: as published.",
    )
    return Grid("PangolinGuard's 144 rows", header, tuple(rows), notes)


def _protocol(result: BenchmarkResult) -> Grid:
    rows = []
    runs = [run for run in (result.model, result.other) if run is not None]
    for run in runs:
        figures = {figure.key: figure for figure in run.figures}
        for suffix, word in (("", ""), (AT, ", at checkpoints")):
            cells = [figures.get(f"protocol.{key}{suffix}") for key in PROTOCOL]
            if any(cells):
                rows.append((f"{run.name}{word}", *map(with_interval, cells)))
    published: dict[str, dict[str, Comparison]] = {}
    for comparison in result.comparisons:
        figure, _, key = comparison.figure.partition(".")
        if figure == "protocol" and comparison.source:
            published.setdefault(comparison.other, {})[key] = comparison
    names = {run.name for run in runs}
    for name, cells_of in published.items():
        if name not in names:
            rows.append((name, *(_published_cell(cells_of.get(key)) for key in PROTOCOL)))
    header = ("PIGuard protocol", *(key.replace("_", "-") for key in PROTOCOL))
    notes = (
        "Accuracy in %. Over-defense: mean of NotInject 1, 2, 3. Benign: mean of PINT benign and "
        "WildGuard. Malicious: mean of PINT attacks and BIPIA. Average: of the three.",
        f"{PINT_NOTE}. Other guards: as published by PIGuard, at their own thresholds, on the "
        "private set; ✓ ours is higher with disjoint intervals, ✗ lower, no sign: not separated.",
    )
    return Grid("PIGuard protocol", header, tuple(rows), notes if rows else ())


def _published_cell(comparison: Comparison | None) -> str:
    if comparison is None:
        return NONE
    sign = {Word.BEATS: " ✓", Word.BEHIND: " ✗", Word.NOT_SEPARATED: ""}[comparison.word]
    return f"{100 * comparison.theirs.value:.2f}{sign}"


def _figures(result: BenchmarkResult) -> Grid:
    ours = {figure.key: figure for figure in result.model.figures}
    others = {} if result.other is None else {f.key: f for f in result.other.figures}
    bases = dict.fromkeys(
        figure.base for figure in ours.values() if figure.key.startswith(SUITE_PREFIXES)
    )
    rows = []
    for base in bases:
        views = [ours.get(base), ours.get(base + AT)]
        shown = next(view for view in views if view is not None)
        cells = [shown.title, str(shown.n), *map(with_interval, views)]
        if result.other is not None:
            cells.append(with_interval(others.get(base)))
            cells.append(with_interval(others.get(base + AT)))
        rows.append(tuple(cells))
    second = [] if result.other is None else [result.other.name, "at checkpoint"]
    name = "split" if result.split is not None else "suite"
    title = f"Split '{result.split.name}'" if result.split is not None else "Suites"
    header = (name, "n", result.model.name, "at checkpoint", *second)
    notes = dict.fromkeys(
        f"{f.title}: {f.note}." for f in ours.values() if f.base in bases and f.note
    )
    if any(BIPIA_NOTE in note for note in notes):
        notes = {note: None for note in notes if BIPIA_NOTE not in note}
        notes[f"BIPIA: {BIPIA_NOTE}."] = None
    rule = "In %, with 95 % intervals (Wilson for shares, Jeffreys for F1, bootstrap for recall at 1 %)."
    return Grid(title, header, tuple(rows), (rule, *notes))


def _comparisons(result: BenchmarkResult) -> Grid:
    titles = {figure.key: _title(figure) for figure in result.model.figures}
    rows = tuple(
        (
            titles[c.figure],
            c.other,
            percent(c.theirs.value),
            percent(c.ours),
            said(c),
            c.method,
        )
        for c in result.comparisons
        if is_headline(c)
    )
    sources = dict.fromkeys(c.source for c in result.comparisons if c.source.startswith("github"))
    remarks: dict[tuple[str, str], list[str]] = {}
    for c in result.comparisons:
        if c.note and is_headline(c):
            remarks.setdefault((titles[c.figure], c.note), []).append(c.other)
    notes = (
        '"beats" and "falls behind" are said only where the paired bootstrap of the rows excludes '
        "0, or where the other's answers are unpublished and the intervals are disjoint.",
        *(f"{title} ({', '.join(names)}): {note}." for (title, note), names in remarks.items()),
        *((f"Published figures: {'; '.join(sources)}.",) if sources else ()),
    )
    header = ("figure", "other guard", "theirs", "ours", "said", "how")
    return Grid("Beside others", header, rows, notes if rows else ())


def _title(figure: Figure) -> str:
    title = "the 144 rows" if figure.base == "pangolin144.accuracy" else figure.title
    if figure.at_checkpoint and not figure.base.startswith("bipia_context"):
        return f"{title}, at checkpoints"
    return title


def _groups(title: str, groups: Sequence[Group]) -> Grid:
    rows = tuple(
        (
            group.name,
            str(group.n),
            str(group.unsafe),
            f"{percent(group.accuracy.value)} "
            f"({percent(group.accuracy.low)}–{percent(group.accuracy.high)})",
            *map(percent, (group.fpr, group.recall, group.fpr_1, group.recall_1)),
        )
        for group in groups
    )
    header = ("group", "n", "unsafe", "accuracy", "FPR", "recall", "FPR at 1 %", "recall at 1 %")
    note = "The last two columns: at the score that flags 1 % of all benign rows of the split."
    return Grid(title, header, rows, (note,) if rows else ())


def _latency(result: LatencyResult) -> Grid:
    timings = [timing for timing in (result.guard, result.baseline) if timing is not None]
    rows = tuple(_timing_row(timing) for timing in timings)
    header = ("", "median ms", "p95 ms", "texts/s", "best batch", "MB", "peak MB", "tokens")
    notes = [
        f"{result.texts} texts ({result.texts_from}), batch 1, each contestant in its own process, "
        f"taking turns over {result.repeats} rounds; medians. Tokens: median per text.",
        f"import plus first verdict: {result.first.median_s:.2f} s (slowest of "
        f"{result.first.processes} fresh processes {result.first.slowest_s:.2f} s; whole process "
        f"{result.first.process_s:.2f} s)",
    ]
    if result.latency_ratio is not None and result.latency_ratio_range is not None:
        low, high = result.latency_ratio_range
        notes.insert(
            0, f"median latency: {result.latency_ratio:.1f}× faster ({low:.1f}–{high:.1f})"
        )
    if result.throughput_ratio is not None:
        notes.insert(1, f"throughput: {result.throughput_ratio:.1f}× the pipeline's best")
    if result.baseline is not None and result.baseline.given_up:
        sizes = " and ".join(result.baseline.given_up)
        notes.append(f"batch size {sizes}: given up, more than {HOPELESS}× slower than the best")
    if result.note:
        notes.append(result.note)
    return Grid("Latency", header, rows, tuple(notes))


def _timing_row(timing: Timing) -> tuple[str, ...]:
    batch, speed = timing.best
    memory = ["–" if mb is None else f"{mb:.0f}" for mb in (timing.resident_mb, timing.peak_mb)]
    return (
        timing.name,
        f"{timing.p50_ms:.2f}",
        f"{timing.p95_ms:.2f}",
        f"{speed:.1f}",
        batch,
        *memory,
        f"{timing.tokens_median:.0f}",
    )
