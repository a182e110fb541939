"""Mislabeled rows are found, hard ones are left alone, and augmentation leaves suspects out."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from tiny_train import attack_texts, benign_texts

from builds import write_rows
from pangolin_guard import DatasetError, InputError
from pangolin_guard.cli import cli
from pangolin_guard.train.noise import confident_joint, find_noise, read_suspects


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """600 rows; the label of every thirtieth is turned round."""
    out = tmp_path_factory.mktemp("noisy")
    texts = [(text, 0) for text in benign_texts(300, 1)] + [(t, 1) for t in attack_texts(300, 2)]
    rows = [
        {
            "id": f"{at:016x}",
            "text": text,
            "label": 1 - label if at % 30 == 0 else label,
            "source": "turned" if at % 30 == 0 else "right",
            "kind": None,
            "group": at,
            "payload": None,
        }
        for at, (text, label) in enumerate(texts)
    ]
    rows[330]["label"] = 1  # an attack again, with a label of its own
    rows.append({**rows[0], "id": "f" * 16, "text": rows[1]["text"], "label": 1, "payload": "x"})
    schema = pa.schema(
        [("id", pa.string()), ("text", pa.string()), ("label", pa.int8()), ("source", pa.string())]
        + [("kind", pa.string()), ("group", pa.int64()), ("payload", pa.string())]
    )
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), out / "train.parquet")
    return out


def test_turned_labels_are_found_and_right_ones_are_not(folder):
    report = find_noise(folder, margin=0.6)
    turned = {one.id for one in report.suspects if one.source == "turned"}
    assert len(turned) >= 14  # of 19
    assert sum(one.source == "right" for one in report.suspects) <= 6
    assert report.suspects[0].p_other >= report.suspects[-1].p_other >= 0.6
    assert report.worst_sources(1)[0][0] == "turned"
    assert 0.01 < report.noise < 0.08


def test_a_row_with_an_inserted_payload_is_no_suspect(folder):
    assert "f" * 16 not in {one.id for one in find_noise(folder, margin=0.5).suspects}


def test_the_joint_counts_given_against_likely():
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.15, 0.85], [0.5, 0.5]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    joint, off = confident_joint(p, labels)
    assert joint == ((2, 1), (0, 2))
    assert off.tolist() == [False, False, True, False, False, False]


def test_the_command_writes_no_text(folder, tmp_path):
    out = tmp_path / "suspects.jsonl"
    command = ["data", "noise", str(folder), "--out", str(out), "--margin", "0.6", "--json"]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert json.loads(done.stdout)["suspects"] == len(lines) == len(read_suspects(out))
    assert set(lines[0]) == {"id", "source", "kind", "label", "p_other"}


def test_errors_say_what_to_do(folder, tmp_path):
    with pytest.raises(InputError, match="margin"):
        find_noise(folder, margin=0.2)
    with pytest.raises(DatasetError, match="pangolin data build"):
        find_noise(tmp_path)
    path = write_rows(tmp_path / "bad.jsonl", [{"text": "a"}])
    with pytest.raises(DatasetError, match="pangolin data noise"):
        read_suspects(path)
