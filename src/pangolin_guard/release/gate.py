"""The release gate: a new model against the one that it would replace.

Enters: two models, the dataset folder that the new one was trained on, suites. Leaves: every slice
and check, and whether the new model may ship: it must lose no slice beyond its interval, agree with
its checkpoint, hold no benchmark row in its training data, and be neither slower nor too large.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from pangolin_guard.bench.environment import Environment, describe_environment
from pangolin_guard.bench.scoring import rows_to_score
from pangolin_guard.bench.splits import Split, load_split
from pangolin_guard.bench.suites import Suite
from pangolin_guard.errors import InputError
from pangolin_guard.gallery import load_gallery
from pangolin_guard.guard import Guard
from pangolin_guard.release import checks
from pangolin_guard.release.checks import Check
from pangolin_guard.release.slices import (
    Raw,
    Slice,
    sample_split,
    split_slices,
    suite_slices,
    with_intervals,
)
from pangolin_guard.runtime.bundle import find_model, load_bundle
from pangolin_guard.runtime.engine import open_engine
from pangolin_guard.train.decontaminate import gallery_signatures, load_signatures, merge
from pangolin_guard.train.package import MAX_MEGABYTES
from pangolin_guard.types import Mode

SPLITS = ("validation", "holdout")
AGREEMENT_ROWS = 400

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class GateOptions:
    """What to look at.

    `data`: the dataset folder that the new model was trained on; its validation and holdout
    splits are judged. `suites`: benchmark suites, none if they are not at hand. `checkpoint`: the
    new model in torch; without it the agreement recorded at export counts. `max_rows`: of a split.
    """

    data: Path
    suites: tuple[Suite, ...] = ()
    checkpoint: Path | None = None
    mode: Mode = Mode.BALANCED
    max_rows: int = 6000
    speed: bool = True
    max_megabytes: float = MAX_MEGABYTES
    tell: Tell | None = None

    def say(self, stage: str, done: int, total: int) -> None:
        """Report progress, if anyone listens."""
        if self.tell is not None:
            self.tell(stage, done, total)


@dataclass(frozen=True, slots=True)
class GateResult:
    """The decision and everything that it rests on."""

    new: str
    old: str
    mode: Mode
    slices: tuple[Slice, ...]
    checks: tuple[Check, ...]
    environment: Environment = field(default_factory=describe_environment)
    date: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%d"))

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the new model is refused; empty where it is not."""
        lost = [
            f"loses on '{one.name}': {100 * one.old:.1f} to {100 * one.new:.1f} % right, change "
            f"{100 * one.change.low:+.1f} to {100 * one.change.high:+.1f} points"
            for one in self.slices
            if one.lost
        ]
        failed = [f"{check.name}: no. {check.detail}" for check in self.checks if not check.passed]
        return (*lost, *failed)

    @property
    def passed(self) -> bool:
        """Whether the new model may ship."""
        return not self.reasons


def run_gate(new: Path, old: Path | str | None, *, options: GateOptions) -> GateResult:
    """Judge a new bundle against an old model.

    Args:
        new: The new bundle.
        old: The model that it would replace; None is the packaged one.
        options: Data, suites, and what to leave out.

    Raises:
        InputError: If `new` is no bundle, or nothing can be compared.
        DatasetError: If the dataset folder cannot be read.
        ModelFilesError: If a model cannot be opened.
    """
    if not (new / "model.onnx").is_file():
        raise InputError(f"{new} is no bundle; make one with: pangolin export")
    mine, theirs = Guard(new, mode=options.mode), Guard(old, mode=options.mode)
    theirs.load()
    splits = [
        sample_split(load_split(options.data, name), options.max_rows)
        for name in SPLITS
        if (options.data / f"{name}.parquet").is_file()
    ]
    if not splits:
        raise InputError(f"{options.data} has neither a validation nor a holdout split to judge")
    slices = with_intervals(_slices(mine, theirs, splits, options))
    found = _checks(new, mine, theirs, splits=splits, options=options)
    return GateResult(_name(mine, new), _name(theirs, old), options.mode, tuple(slices), found)


def _name(guard: Guard, given: Path | str | None) -> str:
    return f"{guard.model_name} ({'packaged' if given is None else given})"


def _slices(mine: Guard, theirs: Guard, splits: list[Split], options: GateOptions) -> list[Raw]:
    raw: list[Raw] = []
    for split in splits:
        count = _Counter(options, split.name, 2 * len(split.texts))
        raw += split_slices(split, new=mine, old=theirs, on_rows=count)
    if options.suites:
        count = _Counter(options, "suites", 2 * rows_to_score(options.suites, False))
        raw += suite_slices(options.suites, new=mine, old=theirs, on_rows=count)
    return raw


def _checks(
    new: Path, mine: Guard, theirs: Guard, *, splits: list[Split], options: GateOptions
) -> tuple[Check, ...]:
    bundle = load_bundle(find_model(new))
    found = []
    if options.checkpoint is not None:
        engine = replace(open_engine(options.checkpoint), config=mine.config)
        torch_run = Guard(engine, mode=options.mode)
        found.append(checks.agreement(mine, torch_run, splits[0], AGREEMENT_ROWS))
    else:
        found.append(checks.recorded_agreement(dict(bundle.metadata)))
    train = options.data / "train.parquet"
    if train.is_file():
        gallery = gallery_signatures()
        known = [load_signatures(), *([] if gallery is None else [gallery])]
        count = _Counter(options, "overlap", 0)
        found.append(checks.overlap(train, merge(known), count))
    if options.speed:
        options.say("speed", 0, 1)
        found.append(checks.speed(mine, theirs, [row.text for row in load_gallery()]))
    found.append(checks.size(bundle.model_path, options.max_megabytes))
    return tuple(found)


class _Counter:
    """Adds up rows and reports them as one stage."""

    def __init__(self, options: GateOptions, stage: str, total: int) -> None:
        self._options, self._stage, self._total = options, stage, total
        self._done = 0

    def __call__(self, rows: int) -> None:
        self._done += rows
        self._options.say(self._stage, self._done, self._total)
