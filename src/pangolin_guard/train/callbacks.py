"""What happens beside the training steps: epochs are told, the best weights kept, logs written.

Enters: the Trainer's events. Leaves: `OUT/best`, `OUT/metrics.jsonl`, and lines for a listener.
Knows nothing of rows or losses.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pangolin_guard.runtime.bundle import write_json
from pangolin_guard.train.batches import TrainRows
from pangolin_guard.train.gate import transformers
from pangolin_guard.train.run_progress import RunProgress

BEST_FOLDER = "best"
Entry = dict[str, Any]


class EpochKeeper(transformers.TrainerCallback):
    """Tells the rows which epoch they are in, so that a resumed run sees the same windows."""

    def __init__(self, rows: TrainRows) -> None:
        """Keep the rows."""
        self._rows = rows

    def on_epoch_begin(
        self,
        args: transformers.TrainingArguments,
        state: transformers.TrainerState,
        control: transformers.TrainerControl,
        **_: object,
    ) -> None:
        """Set the epoch; after a resume in mid-epoch it is the whole part."""
        self._rows.epoch = int((state.epoch or 0.0) + 1e-6)

    def on_step_end(
        self,
        args: transformers.TrainingArguments,
        state: transformers.TrainerState,
        control: transformers.TrainerControl,
        **_: object,
    ) -> None:
        """Evaluate and save after the last step, whatever the intervals."""
        if state.global_step >= state.max_steps:
            control.should_evaluate = True
            control.should_save = True


class BestKeeper(transformers.TrainerCallback):
    """Keeps the weights of the best evaluation in `OUT/best`, whatever the save interval."""

    def __init__(self, out: Path, metric: str) -> None:
        """Read what an earlier part of the same run has kept."""
        self._folder = out / BEST_FOLDER
        self._metric = metric
        note = self._folder / "best.json"
        self.best: Entry | None = json.loads(note.read_text()) if note.is_file() else None

    def on_evaluate(
        self,
        args: transformers.TrainingArguments,
        state: transformers.TrainerState,
        control: transformers.TrainerControl,
        **event: Any,  # noqa: ANN401 - as the Trainer calls it
    ) -> None:
        """Save the model if this evaluation is the best so far."""
        value = event["metrics"][f"eval_{self._metric}"]
        if self.best is not None and not value > self.best[self._metric]:
            return
        self.best = {"step": state.global_step, self._metric: value}
        if not state.is_world_process_zero:
            return
        fresh = self._folder.with_name(BEST_FOLDER + ".tmp")
        shutil.rmtree(fresh, ignore_errors=True)
        event["model"].save_pretrained(fresh)
        write_json(fresh / "best.json", self.best)
        shutil.rmtree(self._folder, ignore_errors=True)
        fresh.rename(self._folder)


class LogKeeper(transformers.TrainerCallback):
    """Appends every log entry to `OUT/metrics.jsonl`, and shows it and the steps."""

    def __init__(self, path: Path, progress: RunProgress) -> None:
        """Keep the file and the reporter."""
        self._path = path
        self._progress = progress

    def on_train_begin(
        self,
        args: transformers.TrainingArguments,
        state: transformers.TrainerState,
        control: transformers.TrainerControl,
        **_: object,
    ) -> None:
        """Forget entries that the continued run will write again, and begin the bar."""
        self._progress.start_steps(state.max_steps, state.global_step)
        if state.is_world_process_zero:
            keep_entries(self._path, lambda entry: entry["step"] <= state.global_step)

    def on_step_end(
        self,
        args: transformers.TrainingArguments,
        state: transformers.TrainerState,
        control: transformers.TrainerControl,
        **_: object,
    ) -> None:
        """Move the bar."""
        self._progress.step(state.global_step)

    def on_log(
        self,
        args: transformers.TrainingArguments,
        state: transformers.TrainerState,
        control: transformers.TrainerControl,
        **event: Any,  # noqa: ANN401 - as the Trainer calls it
    ) -> None:
        """Write one line."""
        if not state.is_world_process_zero:
            return
        entry = {"step": state.global_step, **event["logs"]}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        self._progress.entry(entry)


def keep_entries(path: Path, wanted: Callable[[Entry], bool]) -> None:
    """Rewrite a JSON Lines file with the entries that are wanted; broken lines go."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if wanted(json.loads(line)):
                kept.append(line + "\n")
        except ValueError:
            continue  # the half line of a killed run
    path.write_text("".join(kept), encoding="utf-8")


class TimeKeeper(transformers.TrainerCallback):
    """Ends a run after so many minutes, with the learning rate's schedule fitted to that time.

    The rate rises over the first `warmup` of the time and falls to 0 at its end. A run of this kind
    is as good as the machine is fast: the seed alone does not repeat it.
    """

    def __init__(self, minutes: float, warmup: float) -> None:
        """Keep the limits; the clock starts with the first step."""
        self._seconds = minutes * 60
        self._warmup = warmup
        self._start: float | None = None
        self._rate = 0.0

    def on_step_begin(
        self,
        args: transformers.TrainingArguments,
        state: transformers.TrainerState,
        control: transformers.TrainerControl,
        **event: Any,  # noqa: ANN401 - as the Trainer calls it
    ) -> None:
        """Set the learning rate by the share of the time that has passed."""
        if self._start is None:
            self._start = time.monotonic()
        share = min(1.0, (time.monotonic() - self._start) / self._seconds)
        rise = share / self._warmup if self._warmup else 1.0
        factor = min(rise, (1 - share) / (1 - self._warmup), 1.0)
        self._rate = args.learning_rate * factor
        for group in event["optimizer"].param_groups:
            group["lr"] = self._rate

    def on_step_end(
        self,
        args: transformers.TrainingArguments,
        state: transformers.TrainerState,
        control: transformers.TrainerControl,
        **_: object,
    ) -> None:
        """Stop, with a last evaluation, when the time is up."""
        if self._start is not None and time.monotonic() - self._start >= self._seconds:
            control.should_evaluate = True
            control.should_training_stop = True

    def on_log(
        self,
        args: transformers.TrainingArguments,
        state: transformers.TrainerState,
        control: transformers.TrainerControl,
        **event: Any,  # noqa: ANN401 - as the Trainer calls it
    ) -> None:
        """Put the rate that was used in place of the one that the Trainer's schedule would have."""
        if "learning_rate" in event["logs"]:
            event["logs"]["learning_rate"] = self._rate
