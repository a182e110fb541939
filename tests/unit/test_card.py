"""The model card says what the configuration and the metadata say."""

from __future__ import annotations

from pangolin_guard.train.card import render_card, write_card
from tiny import make_tiny_config

METADATA = {
    "created": "2026-01-31",
    "base_model": "minilm",
    "architecture": "BertForSequenceClassification, 6 layers of 384",
    "export": {
        "weights": "int8",
        "bytes": 23_000_000,
        "parity": {"fp32": {"windows": 84, "max": 1e-6, "mean": 0.0}},
    },
    "validation": {"accuracy": 0.95, "f1": 0.94},
    "calibration": {
        "rows": 100,
        "before": {"nll": 0.2, "ece": 0.05},
        "after": {"nll": 0.1, "ece": 0.01},
    },
    "notes": "## Benchmark\n\nA table.",
    "data": {
        "description": "Made up.",
        "rows": {"train": 1200},
        "sources": [{"name": "a|b", "license": "MIT", "origin": "x/y", "rows": 7}],
    },
}


def test_every_figure_is_in_the_card():
    card = render_card(make_tiny_config(), METADATA)
    for part in (
        "# tiny",
        "license: apache-2.0",
        "| high_precision | 0.1% | 0.9000 |",
        "23.0 MB",
        "0.2000 to 0.1000",
        "| Macro-F1 | 0.9400 |",
        "## Benchmark",
        "| fp32 | 84 | 0.0000 | 0.0000 |",
        "| a\\|b | MIT | x/y | 7 |",
        "train 1,200",
    ):
        assert part in card


def test_what_is_not_known_is_left_out():
    card = render_card(make_tiny_config(thresholds={}), {})
    assert "Not calibrated: 0.5 applies" in card
    assert "Training data" not in card
    assert "None" not in card


def test_the_card_is_the_readme(tmp_path):
    write_card(tmp_path, make_tiny_config(), METADATA)
    assert (tmp_path / "README.md").read_text() == render_card(make_tiny_config(), METADATA)
