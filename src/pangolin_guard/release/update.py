"""From a file of newly seen attacks to a gated, calibrated bundle.

Enters: the file, the dataset folder of the present model, the present model. Leaves: a folder with
the data, the fine-tuned checkpoint, its mean with the present model, the bundle and the gate's
report, and how long each stage took. A stage that is complete is not done again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pangolin_guard.bench.metrics import wilson_interval
from pangolin_guard.bench.suites import Suite
from pangolin_guard.errors import InputError
from pangolin_guard.guard import Guard
from pangolin_guard.release.gate import GateOptions, run_gate
from pangolin_guard.release.new_rows import NewRows, read_new_rows, write_folder
from pangolin_guard.release.report import to_dict, write_report
from pangolin_guard.runtime.bundle import write_json
from pangolin_guard.train.average import average_models
from pangolin_guard.train.calibrate import CalibrationOptions
from pangolin_guard.train.config import read_recipe, recipe_path, resolve_config
from pangolin_guard.train.datacard import MANIFEST
from pangolin_guard.train.decontaminate import gallery_signatures, load_signatures, merge
from pangolin_guard.train.export import ExportOptions
from pangolin_guard.train.fit import fit
from pangolin_guard.train.package import PackageOptions, package
from pangolin_guard.train.run_progress import RunProgress
from pangolin_guard.types import Checkpoint

PACKAGED = "packaged"
UPDATE_FILE = "update.json"
GATE_FILE = "gate.json"


@dataclass(frozen=True, slots=True)
class UpdateOptions:
    """How to update.

    `base`: the present model, "packaged" or a folder. `data`: the dataset folder that it was
    trained on. `replay`: rows of it that are trained on again. `share`: the new weights' part of
    the mean with the base. `settings`: any setting of a training run. `int8_max`: as for export.
    """

    data: Path
    base: str = PACKAGED
    name: str | None = None
    checkpoint: Checkpoint = Checkpoint.USER_INPUT
    replay: int = 12_000
    share: float = 0.5
    max_minutes: float = 20.0
    max_rows: int = 6000
    int8_max: float = 0.3
    suites: tuple[Suite, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    calibration: CalibrationOptions = field(default_factory=CalibrationOptions)

    def __post_init__(self) -> None:
        """Refuse what cannot work before anything takes time."""
        if not 0.0 < self.share <= 1.0:
            raise InputError(f"the share must lie above 0 and up to 1, got {self.share}")
        if self.replay < 1 or self.max_minutes <= 0:
            raise InputError("replay and max_minutes must be above 0")


@dataclass(frozen=True, slots=True)
class Recall:
    """Recall on the new attacks that were kept out; `benign_flagged` of the new benign rows."""

    hits: int
    n: int
    low: float
    high: float
    benign_flagged: int
    benign: int


@dataclass(frozen=True, slots=True)
class UpdateResult:
    """What came out: the bundle, whether it passes the gate, and the time of each stage."""

    bundle: Path
    passed: bool
    reasons: tuple[str, ...]
    before: Recall
    after: Recall
    seconds: dict[str, float]


def update(
    add: Path, out: Path, *, options: UpdateOptions, progress: RunProgress | None = None
) -> UpdateResult:
    """Retrain the present model on newly seen attacks, and judge the result.

    Args:
        add: The file of new rows; see `read_new_rows`.
        out: The folder of the update; a folder of the same update is continued.
        options: Data, base, and how much.
        progress: Where to report; None prints to stderr.

    Raises:
        DatasetError: If the file or the dataset folder cannot be used.
        InputError: If `out` holds something else.
        ExportMismatchError: If the exported model is too far from torch.
    """
    progress = progress or RunProgress()
    seconds = _read_seconds(out)
    gallery = gallery_signatures()
    references = merge([load_signatures(), *([] if gallery is None else [gallery])])
    new = read_new_rows(add, references, checkpoint=options.checkpoint)
    for reason, count in new.dropped.items():
        if count:
            progress.say(f"{count} new rows left out: {reason}")
    for name, made, work in _stages(out, new, options, progress):
        if made.is_file():
            progress.say(f"{name}: done before")
            continue
        progress.say(f"{name} ...")
        began = time.monotonic()
        work()
        seconds[name] = round(time.monotonic() - began, 1)
        write_json(out / UPDATE_FILE, {"seconds": seconds})
    gate = json.loads((out / GATE_FILE).read_text(encoding="utf-8"))
    base = None if options.base == PACKAGED else options.base
    result = UpdateResult(
        out / "bundle",
        bool(gate["passed"]),
        tuple(gate["reasons"]),
        _recall(Guard(base), new),
        _recall(Guard(out / "bundle"), new),
        seconds,
    )
    write_json(out / UPDATE_FILE, {**asdict(result), "bundle": str(result.bundle)})
    return result


def _stages(
    out: Path, new: NewRows, options: UpdateOptions, progress: RunProgress
) -> list[tuple[str, Path, Callable[[], object]]]:
    """Return each stage: its name, the file that it writes last, and its work."""
    data, tuned, mean, bundle = (out / part for part in ("data", "tuned", "mean", "bundle"))
    replay = options.replay
    return [
        ("data", data / MANIFEST, lambda: write_folder(data, options.data, new, replay=replay)),
        ("train", tuned / "pangolin.json", lambda: _fit(tuned, data, options)),
        ("average", mean / "pangolin.json", lambda: _average(mean, tuned, options)),
        (
            "export",
            bundle / "manifest.json",
            lambda: _package(bundle, mean, data, options, progress),
        ),
        ("gate", out / GATE_FILE, lambda: _gate(out, bundle, mean, options)),
    ]


def _read_seconds(out: Path) -> dict[str, float]:
    """Return the times of the stages that an earlier call completed."""
    path = out / UPDATE_FILE
    if path.is_file():
        return dict(json.loads(path.read_text(encoding="utf-8"))["seconds"])
    if out.exists() and any(out.iterdir()):
        known = {"data", "tuned", "mean", "bundle"}
        if {entry.name for entry in out.iterdir()} - known:
            raise InputError(f"{out} exists and holds something else. Choose another --out")
    return {}


def _fit(tuned: Path, data: Path, options: UpdateOptions) -> None:
    given = {
        "data": str(data),
        "out": str(tuned),
        "model": options.base,
        "epochs": 1.0,
        "learning_rate": 3e-5,
        "max_minutes": options.max_minutes,
        "eval_steps": 1_000_000,
        "load_best": False,
        "keep_checkpoints": False,
    }
    fit(resolve_config(read_recipe(recipe_path("default")), given, options.settings))


def _average(mean: Path, tuned: Path, options: UpdateOptions) -> None:
    """Take the mean with the base: it learns the new and forgets less (arXiv 2109.01903)."""
    others = options.share if options.share < 1.0 else 1.0 - 1e-6
    average_models([str(tuned), options.base], mean, shares=(others, 1.0 - others))


def _package(
    bundle: Path, mean: Path, data: Path, options: UpdateOptions, progress: RunProgress
) -> None:
    base = None if options.base == PACKAGED else options.base
    name = options.name or f"{Guard(base).model_name}_updated"
    package(
        mean,
        bundle,
        options=PackageOptions(
            data=data,
            name=name,
            export=ExportOptions(int8_max=options.int8_max),
            calibration=options.calibration,
        ),
        progress=progress,
    )


def _gate(out: Path, bundle: Path, mean: Path, options: UpdateOptions) -> None:
    result = run_gate(
        bundle,
        None if options.base == PACKAGED else options.base,
        options=GateOptions(
            out / "data", options.suites, checkpoint=mean, max_rows=options.max_rows
        ),
    )
    write_report(result, out / "gate.md")
    write_json(out / GATE_FILE, to_dict(result))


def _recall(guard: Guard, new: NewRows) -> Recall:
    rows = new.held_out
    if not rows:
        return Recall(0, 0, 0.0, 1.0, 0, 0)
    verdicts = guard.check_many(
        [row["text"] for row in rows], checkpoint=[row["checkpoint"] for row in rows]
    )
    flagged = [(v.unsafe, row["label"]) for v, row in zip(verdicts, rows, strict=True)]
    attacks = [hit for hit, label in flagged if label == 1]
    benign = [hit for hit, label in flagged if label == 0]
    low, high = wilson_interval(sum(attacks), len(attacks))
    return Recall(sum(attacks), len(attacks), low, high, sum(benign), len(benign))
