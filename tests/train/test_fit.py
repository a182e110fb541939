"""A run: what it writes, how it continues after a kill, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pyarrow as pa
import pytest
import torch
import yaml
from pyarrow import compute as pc
from pyarrow import parquet
from tiny_train import train_config

from pangolin_guard import DatasetError, InputError
from pangolin_guard.runtime.bundle import load_checkpoint_config
from pangolin_guard.runtime.engine import open_engine
from pangolin_guard.runtime.torch_session import TorchSettings
from pangolin_guard.train import fit as fit_module
from pangolin_guard.train.callbacks import TimeKeeper
from pangolin_guard.train.config import read_recipe, resolve_config
from pangolin_guard.train.fit import fit
from pangolin_guard.train.run_folder import last_checkpoint
from pangolin_guard.train.run_progress import RunProgress

SHORT = {"max_steps": 12, "eval_steps": 4, "save_steps": 4, "logging_steps": 2, "eval_rows": 40}


def run(weights, data, out, **changes):
    config = train_config(weights, data, out, **SHORT | changes)
    return fit(config, progress=RunProgress(quiet=True))


def read_entries(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_a_run_writes_a_checkpoint_its_settings_and_its_figures(tiny_weights, dataset, tmp_path):
    result = run(tiny_weights, dataset, tmp_path / "run")
    names = {path.name for path in result.path.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "pangolin.json"} <= names
    assert not any(name.endswith((".bin", ".pt", ".pkl")) for name in names)
    entries = read_entries(result.path)
    assert [e["step"] for e in entries if "eval_f1" in e] == [4, 8, 12]
    best = max(e["eval_f1"] for e in entries if "eval_f1" in e)
    assert result.metrics["f1"] == best
    assert {"f1_own", "f1_blind", "recall_at_1fpr", "accuracy"} <= set(result.metrics)
    assert load_checkpoint_config(result.path).max_tokens == 64


def test_the_saved_recipe_repeats_the_run(tiny_weights, dataset, tmp_path):
    first = run(tiny_weights, dataset, tmp_path / "one")
    saved = read_recipe(first.path / "recipe.yaml")
    again = resolve_config(saved, {"out": str(tmp_path / "two")})
    second = fit(again, progress=RunProgress(quiet=True))
    weights = [(r.path / "model.safetensors").read_bytes() for r in (first, second)]
    assert weights[0] == weights[1]
    head = (first.path / "recipe.yaml").read_text()
    assert "# attention used: sdpa" in head


def start(recipe):
    return subprocess.Popen(
        [sys.executable, "-m", "pangolin_guard", "train", "--recipe", str(recipe)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_killed_run_continues_and_ends_as_if_nothing_had_happened(
    tiny_weights, dataset, tmp_path
):
    changes = {**SHORT, "max_steps": 60, "save_steps": 8, "eval_steps": 16}
    config = train_config(tiny_weights, dataset, tmp_path / "killed", **changes)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(config.as_dict()))
    process = start(recipe)
    saved = tmp_path / "killed" / "checkpoint-16" / "trainer_state.json"
    deadline = time.monotonic() + 100
    while not saved.is_file() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    at = int(last_checkpoint(tmp_path / "killed").name.rpartition("-")[2])
    assert at in (16, 24, 32, 40, 48)
    resumed = fit(config, progress=RunProgress(quiet=True))
    straight = run(tiny_weights, dataset, tmp_path / "straight", **changes)
    weights = [(r.path / "checkpoint-60" / "model.safetensors") for r in (resumed, straight)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    entries = [entry["step"] for entry in read_entries(resumed.path)]
    assert entries == sorted(entries)


def test_a_half_written_save_does_not_count(tmp_path):
    for number, whole in ((8, True), (16, False)):
        folder = tmp_path / f"checkpoint-{number}"
        folder.mkdir()
        for name in ("model.safetensors", "optimizer.pt", "scheduler.pt"):
            (folder / name).touch()
        if whole:
            (folder / "trainer_state.json").write_text("{}")
    assert last_checkpoint(tmp_path).name == "checkpoint-8"
    (tmp_path / "checkpoint-16" / "trainer_state.json").write_text('{"half')
    assert last_checkpoint(tmp_path).name == "checkpoint-8"


@pytest.fixture(scope="module")
def finished(tiny_weights, dataset, tmp_path_factory):
    return run(tiny_weights, dataset, tmp_path_factory.mktemp("done") / "run", max_steps=4)


def test_a_finished_run_is_not_repeated(finished, tiny_weights, dataset):
    before = (finished.path / "model.safetensors").stat().st_mtime_ns
    assert run(tiny_weights, dataset, finished.path, max_steps=4) == finished
    assert (finished.path / "model.safetensors").stat().st_mtime_ns == before


def test_another_runs_folder_is_refused(finished, tiny_weights, dataset):
    with pytest.raises(InputError, match=r"learning_rate: 0\.003 -> 0\.1"):
        run(tiny_weights, dataset, finished.path, max_steps=4, learning_rate=0.1)


def test_other_data_is_refused(finished, tiny_weights, dataset, tmp_path):
    other = shutil.copytree(dataset, tmp_path / "other")
    shutil.copyfile(other / "validation.parquet", other / "train.parquet")
    with pytest.raises(InputError, match=r"the training rows are in another file"):
        run(tiny_weights, other, finished.path, max_steps=4)


def test_no_resume_starts_afresh(finished, tiny_weights, dataset, tmp_path):
    copy = shutil.copytree(finished.path, tmp_path / "copy")
    result = run(tiny_weights, dataset, copy, max_steps=8, resume=False)
    assert result.steps == 8
    assert not (copy / "checkpoint-4" / "optimizer.pt").is_file() or last_checkpoint(copy)


@pytest.fixture(scope="module")
def taught(dataset, tmp_path_factory):
    """The dataset with a teacher's probabilities for half of the rows."""
    folder = shutil.copytree(dataset, tmp_path_factory.mktemp("taught") / "data")
    table = parquet.read_table(folder / "train.parquet")
    teacher = [0.8 if i % 2 else None for i in range(table.num_rows)]
    table = table.append_column("teacher_p", pa.array(teacher, pa.float32()))
    parquet.write_table(table, folder / "train.parquet")
    return folder


@pytest.mark.parametrize(
    "changes",
    [
        {"gradient_checkpointing": True, "attn_implementation": "eager"},
        {"gradient_accumulation": 2, "schedule": "cosine"},
        {"pooling": "mean", "class_balance": True, "focal_gamma": 1.0},
        {"distill_alpha": 0.5, "label_smoothing": 0.05, "dropout": 0.1},
        {"precision": "bf16", "group_by_length": False, "workers": 1},
        {"load_best": False, "keep_checkpoints": False, "eval_form": "blind"},
        {"trainer": {"adam_beta2": 0.98}, "report_to": "tensorboard"},
    ],
)
def test_every_option_trains(tiny_weights, taught, tmp_path, monkeypatch, changes):
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "logs"))
    steps = {"max_steps": 2, "eval_steps": 2, "save_steps": 2}
    result = run(tiny_weights, taught, tmp_path / "run", **steps | changes)
    assert result.steps == 2
    saved = json.loads((result.path / "config.json").read_text())
    assert saved["classifier_pooling"] == changes.get("pooling", "cls")
    kept = list(result.path.glob("checkpoint-*"))
    assert bool(kept) == changes.get("keep_checkpoints", True)


def test_a_push_is_private_and_leaves_the_saves_out(tiny_weights, dataset, tmp_path, monkeypatch):
    calls = {}

    class Hub:
        def create_repo(self, name, **settings):
            calls["repo"] = (name, settings["private"])

        def upload_folder(self, **settings):
            calls["upload"] = settings

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    run(tiny_weights, dataset, tmp_path / "run", max_steps=2, push_to_hub="me/guard")
    assert calls["repo"] == ("me/guard", True)
    assert "checkpoint-*/*" in calls["upload"]["ignore_patterns"]


def test_a_missing_dataset_says_what_to_run(tiny_weights, tmp_path):
    with pytest.raises(DatasetError, match="pangolin data build"):
        run(tiny_weights, tmp_path / "nothing", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_two_processes_train_together(tiny_weights, dataset, tmp_path):
    config = train_config(tiny_weights, dataset, tmp_path / "run", **SHORT | {"max_steps": 6})
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(config.as_dict()))
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *launch, "-m", "pangolin_guard", "train", "--recipe", str(recipe)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert load_checkpoint_config(tmp_path / "run") is not None
    entries = read_entries(tmp_path / "run")
    assert [e["step"] for e in entries if "eval_f1" in e] == [4, 6]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_trains_in_bf16_and_the_result_runs_on_a_cpu(tiny_weights, dataset, tmp_path):
    config = train_config(
        tiny_weights, dataset, tmp_path / "run", **SHORT, device="cuda", precision="auto"
    )
    result = fit(config, progress=RunProgress(quiet=True))
    assert "# precision used: bf16" in (result.path / "recipe.yaml").read_text()
    engine = open_engine(result.path, torch_settings=TorchSettings("cpu", "fp32", "eager"))
    assert len(engine.score(["kettle1 paint2"], [None])) == 1


def test_a_run_ends_when_its_time_is_up(tiny_weights, dataset, tmp_path, monkeypatch):
    rates, at_steps = [], {}

    class Watch(TimeKeeper):
        def on_pre_optimizer_step(self, args, state, control, **event):
            rates.append(event["optimizer"].param_groups[0]["lr"])
            at_steps[state.global_step + 1] = rates[-1]

    monkeypatch.setattr(fit_module, "TimeKeeper", Watch)
    settings = {"max_steps": 100_000, "max_minutes": 0.05, "warmup_ratio": 0.2}
    result = run(tiny_weights, dataset, tmp_path / "run", eval_steps=100_000, **settings)
    assert 5 <= result.steps == len(rates) < 100_000
    peak = rates.index(max(rates))
    assert 0 < peak < len(rates) / 2
    assert rates[0] < max(rates) <= 3e-3
    assert rates[-1] < max(rates) / 4
    assert "f1" in result.metrics
    told = {e["step"]: e["learning_rate"] for e in read_entries(tmp_path / "run") if "loss" in e}
    assert told
    assert all(told[step] == pytest.approx(at_steps[step]) for step in told)


@pytest.fixture
def one_label(dataset, tmp_path):
    """The dataset with benign validation rows only."""
    folder = tmp_path / "one_label"
    shutil.copytree(dataset, folder)
    rows = parquet.read_table(folder / "validation.parquet")
    parquet.write_table(rows.filter(pc.equal(rows["label"], 0)), folder / "validation.parquet")
    return folder


def test_validation_rows_of_one_label_do_not_stop_a_run(tiny_weights, one_label, tmp_path):
    result = run(tiny_weights, one_label, tmp_path / "run")
    assert "accuracy" in result.metrics
    assert "recall_at_1fpr" not in result.metrics


def test_a_best_model_is_not_chosen_by_a_figure_that_is_missing(tiny_weights, one_label, tmp_path):
    with pytest.raises(DatasetError, match="all have one label"):
        run(tiny_weights, one_label, tmp_path / "run", best_metric="recall_at_1fpr")
