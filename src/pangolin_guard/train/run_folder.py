"""The folder of a run: whose it is, what it has saved, and which process may write.

Enters: the settings of a run and its output folder. Leaves: what to continue from, or an error
when the folder holds another run. Knows nothing of models or rows.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from accelerate import PartialState

from pangolin_guard.errors import DatasetError, InputError
from pangolin_guard.runtime.bundle import file_sha256, write_json
from pangolin_guard.train.callbacks import BEST_FOLDER
from pangolin_guard.train.config import TrainConfig, read_recipe, save_recipe
from pangolin_guard.train.shards import tokens_path

RUN_FILE = "run.json"
RECIPE_FILE = "recipe.yaml"
METRICS_FILE = "metrics.jsonl"
START_FOLDER = "start"  # where the run began, if that was a bundle
_WHOLE = ("trainer_state.json", "model.safetensors", "optimizer.pt", "scheduler.pt")


def processes(config: TrainConfig) -> PartialState:
    """Return the processes that train together: one, or those of `torchrun` or `accelerate`."""
    return PartialState(cpu=config.device == "cpu")


def open_run(config: TrainConfig, state: PartialState) -> dict[str, Any]:
    """Prepare the output folder, or check that it holds this very run.

    The first process writes, the others wait and read what it wrote.

    Returns:
        The content of `run.json`.

    Raises:
        DatasetError: If there is no training split.
        InputError: If the folder holds saves of a run with other settings or data.
    """
    out = Path(config.out)
    if state.is_main_process:
        _open(config, out)
    state.wait_for_everyone()
    return read_run(out)


def read_run(out: Path) -> dict[str, Any]:
    """Return what `run.json` says."""
    content: dict[str, Any] = json.loads((out / RUN_FILE).read_text(encoding="utf-8"))
    return content


def _open(config: TrainConfig, out: Path) -> None:
    data_hash = _data_hash(Path(config.data))
    if config.resume and _has_saves(out):
        _check_same(config, out, data_hash)
        return
    clear_saves(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / METRICS_FILE).unlink(missing_ok=True)
    save_recipe(config, out / RECIPE_FILE, facts={})
    write_json(out / RUN_FILE, {"data_sha256": data_hash})


def _data_hash(folder: Path) -> str:
    """Return the hash of the training rows, packed ones if there are any."""
    packed, table = tokens_path(folder, "train"), folder / "train.parquet"
    for path in (packed, table):
        if path.is_file():
            return file_sha256(path)
    raise DatasetError(f"{table} is missing. Build the dataset first: pangolin data build")


def _has_saves(out: Path) -> bool:
    if not (out / RUN_FILE).is_file():
        return False
    return bool(read_run(out).get("finished")) or last_checkpoint(out) is not None


def _check_same(config: TrainConfig, out: Path, data_hash: str) -> None:
    changed = config.differences(read_recipe(out / RECIPE_FILE))
    if read_run(out)["data_sha256"] != data_hash:
        changed.append("data: the training rows are in another file")
    if changed:
        raise InputError(
            f"{out} holds a run with other settings ({'; '.join(changed)}). Choose another "
            "--out, give the same settings to continue it, or --no-resume to start afresh"
        )


def clear_saves(out: Path) -> None:
    """Delete the saves of a run and its start; its weights, settings and figures stay."""
    for old in [*out.glob("checkpoint-*"), out / BEST_FOLDER, out / START_FOLDER]:
        shutil.rmtree(old, ignore_errors=True)


def last_checkpoint(out: Path) -> Path | None:
    """Return the newest complete save of a run, or None; half-written ones do not count."""
    found = []
    for folder in out.glob("checkpoint-*"):
        number = folder.name.rpartition("-")[2]
        if number.isdigit() and all((folder / name).is_file() for name in _WHOLE):
            try:
                json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
            except ValueError:
                continue
            found.append((int(number), folder))
    return max(found)[1] if found else None
