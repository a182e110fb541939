"""From new attacks to a bundle: rows are read, kept apart, learned; stages are not done twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny_train import BUDGETS, benign_texts

from builds import read_split, write_rows
from pangolin_guard import Checkpoint, DatasetError, Guard, InputError
from pangolin_guard.cli import cli
from pangolin_guard.release.new_rows import SOURCE, read_new_rows, write_folder
from pangolin_guard.release.update import UpdateOptions, update
from pangolin_guard.train.calibrate import CalibrationOptions, parse_budgets
from pangolin_guard.train.decontaminate import make_signatures
from pangolin_guard.train.run_progress import RunProgress

NONE = make_signatures({"suite": ["nothing of this kind is ever written down here at all"]})
USER = Checkpoint.USER_INPUT


def new_attacks(count: int = 30) -> list[str]:
    """Attacks in words that the tiny model has never seen as attacks."""
    return [f"{text} paint0 paint0 violin1 violin1" for text in benign_texts(count, 901)]


@pytest.fixture
def add(tmp_path) -> Path:
    rows = [{"text": text} for text in new_attacks()]
    rows += [{"text": text, "label": 0, "checkpoint": "document"} for text in benign_texts(20, 902)]
    return write_rows(tmp_path / "new.jsonl", rows)


def test_rows_without_a_label_are_attacks_and_every_fifth_is_kept_out(add):
    new = read_new_rows(add, NONE, checkpoint=USER)
    assert new.attacks == 24
    assert sorted(row["label"] for row in new.held_out) == [0] * 4 + [1] * 6
    assert not {r["id"] for r in new.train} & {r["id"] for r in new.held_out}
    assert {r["checkpoint"] for r in new.train if r["label"] == 0} == {"document"}
    assert {r["checkpoint"] for r in new.train if r["label"] == 1} == {"user_input"}
    again = read_new_rows(add, NONE, checkpoint=USER)
    assert again == new


def test_benchmark_rows_and_repetitions_are_left_out(tmp_path):
    texts = new_attacks()
    path = write_rows(tmp_path / "new.jsonl", [{"text": t} for t in [*texts, texts[0]]])
    known = make_signatures({"suite": [texts[3]]})
    new = read_new_rows(path, known, checkpoint=USER)
    assert new.dropped == {"repeated": 1, "benchmark": 1}
    assert len(new.train) + len(new.held_out) == len(texts) - 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"label": 1}, "no text"),
        ({"text": "secret words", "label": "perhaps"}, "label"),
        ({"text": "secret words", "checkpoint": "kitchen"}, "checkpoint"),
    ],
)
def test_a_bad_row_is_named_and_not_quoted(tmp_path, row, message):
    rows = [{"text": text} for text in new_attacks()]
    path = write_rows(tmp_path / "new.jsonl", [*rows, row])
    with pytest.raises(DatasetError, match=message) as caught:
        read_new_rows(path, NONE, checkpoint=USER)
    assert caught.value.row == len(rows) + 1
    assert "secret words" not in str(caught.value)


def test_too_few_attacks_are_refused(tmp_path):
    path = write_rows(tmp_path / "new.jsonl", [{"text": text} for text in new_attacks(4)])
    with pytest.raises(DatasetError, match="too few"):
        read_new_rows(path, NONE, checkpoint=USER)


def test_the_folder_replays_old_rows_and_holds_the_new_ones_apart(add, dataset, tmp_path):
    new = read_new_rows(add, NONE, checkpoint=USER)
    manifest = write_folder(tmp_path / "data", dataset, new, replay=100)
    train, validation = (read_split(tmp_path / "data", name) for name in ("train", "validation"))
    fresh = [row for row in train if row["source"] == SOURCE]
    assert len(train) - len(fresh) == 100
    assert len(fresh) == manifest["new"]["repeats"] * len(new.train)
    kept = {row["text"] for row in validation if row["source"] == SOURCE}
    assert kept == {row["text"] for row in new.held_out}
    assert not kept & {row["text"] for row in train}
    assert read_split(tmp_path / "data", "calibration") == read_split(dataset, "calibration")


@pytest.fixture(scope="module")
def updated(checkpoint, dataset, bundle, tmp_path_factory):
    """One update of the tiny model, with a base in torch."""
    folder = tmp_path_factory.mktemp("update")
    rows = [{"text": text} for text in new_attacks(60)]
    rows += [{"text": text, "label": 0} for text in benign_texts(40, 903)]
    add = write_rows(folder / "new.jsonl", rows)
    options = UpdateOptions(
        dataset,
        base=str(checkpoint),
        name="tiny-next",
        replay=400,
        share=1.0,
        max_minutes=2.0,
        int8_max=0.9,
        settings={
            "max_tokens": 64,
            "overlap": 16,
            "max_minutes": None,
            "epochs": 6.0,
            "learning_rate": 3e-3,
            "batch_size": 32,
            "eval_rows": 40,
            "precision": "fp32",
            "device": "cpu",
        },
        calibration=CalibrationOptions(parse_budgets(BUDGETS)),
    )
    quiet = RunProgress(quiet=True)
    return (
        add,
        folder / "out",
        options,
        update(add, folder / "out", options=options, progress=quiet),
    )


def test_new_attacks_are_learned(updated):
    _, out, _, result = updated
    assert result.before.hits < result.after.hits
    assert result.after.hits >= 0.7 * result.after.n == 0.7 * 12
    assert Guard(result.bundle).model_name == "tiny-next"
    assert set(result.seconds) == {"data", "train", "average", "export", "gate"}
    assert json.loads((out / "update.json").read_text())["passed"] == result.passed
    assert "Slices" in (out / "gate.md").read_text(encoding="utf-8")


def test_a_complete_update_is_not_done_again(updated):
    add, out, options, result = updated
    stamp = (out / "bundle" / "model.onnx").stat().st_mtime_ns
    again = update(add, out, options=options, progress=RunProgress(quiet=True))
    assert (out / "bundle" / "model.onnx").stat().st_mtime_ns == stamp
    assert again.seconds == result.seconds
    assert again.after == result.after


def test_a_folder_of_something_else_is_left_alone(add, dataset, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="something else"):
        update(add, tmp_path / "out", options=UpdateOptions(dataset))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_wrong_use_of_the_command(add, dataset, tmp_path):
    command = ["train", "update", "--add", str(add), "--data", str(dataset)]
    command += ["--out", str(tmp_path / "o")]
    done = CliRunner().invoke(cli, [*command, "--checkpoint", "unknown"])
    assert done.exit_code == 2
    assert "checkpoint" in done.stderr
    done = CliRunner().invoke(cli, [*command, "--share", "0"])
    assert done.exit_code == 2
