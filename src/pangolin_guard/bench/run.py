"""A benchmark from start to end: score, take figures, compare.

Enters: a guard, suites (or a dataset split), options. Leaves: one result that reports are made
from. Prints nothing; knows nothing of terminals, files to write, or how a guard is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from pangolin_guard.bench.compare import (
    Comparison,
    compare_published,
    compare_runs,
    compare_stored,
)
from pangolin_guard.bench.environment import Environment, describe_environment
from pangolin_guard.bench.figures import AT, Figure, compute_figures
from pangolin_guard.bench.latency import LatencyResult
from pangolin_guard.bench.scoring import (
    Judge,
    OnRows,
    ScoredSuite,
    Scores,
    score_suites,
    score_texts,
)
from pangolin_guard.bench.splits import Split, SplitFigures, split_figures
from pangolin_guard.bench.suites import Suite, SuiteFolder, SuiteSpec
from pangolin_guard.types import Mode


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to score: the mode that the guard was loaded with is repeated here for the report."""

    mode: Mode = Mode.BALANCED
    at_checkpoint: bool = False
    on_rows: OnRows | None = None


@dataclass(frozen=True, slots=True)
class ModelRun:
    """One guard's figures; `thresholds` are the distinct ones that its verdicts named."""

    name: str
    figures: tuple[Figure, ...]
    thresholds_blind: tuple[float, ...] = ()
    thresholds_at_checkpoint: tuple[float, ...] = ()
    splits: tuple[SplitFigures, ...] = ()


@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """Everything that a report says."""

    mode: Mode
    model: ModelRun
    other: ModelRun | None = None
    comparisons: tuple[Comparison, ...] = ()
    suites: tuple[Suite, ...] = ()
    missing: tuple[SuiteSpec, ...] = ()
    split: Split | None = None
    latency: LatencyResult | None = None
    environment: Environment = field(default_factory=describe_environment)
    date: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%d"))


def run_suites(
    judge: Judge, folder: SuiteFolder, *, options: RunOptions, other: Judge | None = None
) -> BenchmarkResult:
    """Run a guard over the suites, beside published figures and, if given, a second guard.

    Args:
        judge: The guard.
        folder: The suites, at least one.
        options: Mode, views, progress.
        other: A guard to compare with on the same rows.
    """
    scored = score_suites(
        judge, folder.suites, at_checkpoint=options.at_checkpoint, on_rows=options.on_rows
    )
    model = _model_run(judge.model_name, scored)
    suite = next((s for s in folder.suites if s.spec.name == "pangolin144"), None)
    comparisons = [*compare_stored(model.figures, suite), *compare_published(model.figures)]
    second = None
    if other is not None:
        scored = score_suites(
            other, folder.suites, at_checkpoint=options.at_checkpoint, on_rows=options.on_rows
        )
        second = _model_run(_other_name(judge, other), scored)
        comparisons += compare_runs(model.figures, second.figures, second.name)
    return BenchmarkResult(
        options.mode, model, second, tuple(comparisons), folder.suites, folder.missing
    )


def run_split(
    judge: Judge, split: Split, *, options: RunOptions, other: Judge | None = None
) -> BenchmarkResult:
    """Run a guard over a dataset split, and a second one if given."""
    model = _split_run(judge, split, options)
    second: ModelRun | None = None
    comparisons: tuple[Comparison, ...] = ()
    if other is not None:
        second = replace(_split_run(other, split, options), name=_other_name(judge, other))
        comparisons = compare_runs(model.figures, second.figures, second.name)
    return BenchmarkResult(options.mode, model, second, comparisons, split=split)


def _other_name(judge: Judge, other: Judge) -> str:
    """Two models of one name must not look like one."""
    same = other.model_name == judge.model_name
    return f"{other.model_name} (second)" if same else other.model_name


def _model_run(name: str, scored: Sequence[ScoredSuite]) -> ModelRun:
    return ModelRun(
        name,
        compute_figures(scored),
        _thresholds([s.blind for s in scored]),
        _thresholds([s.at_checkpoint for s in scored]),
    )


def _split_run(judge: Judge, split: Split, options: RunOptions) -> ModelRun:
    blind = score_texts(judge, split.texts, [None] * len(split.texts), on_rows=options.on_rows)
    passes, at = [split_figures(split, blind)], None
    if options.at_checkpoint:
        at = score_texts(judge, split.texts, split.checkpoints, on_rows=options.on_rows)
        passes.append(split_figures(split, at, suffix=AT))
    figures = tuple(figure for one in passes for figure in one.figures)
    return ModelRun(
        judge.model_name, figures, _thresholds([blind]), _thresholds([at]), tuple(passes)
    )


def _thresholds(scores: Sequence[Scores | None]) -> tuple[float, ...]:
    return tuple(sorted({t for one in scores if one is not None for t in one.thresholds}))
