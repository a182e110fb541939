"""The configuration of a model: what is refused, and that nothing is lost on the way."""

import json

import pytest

from pangolin_guard import Checkpoint, Mode, ModelFormatError
from pangolin_guard.runtime.config import BundleConfig, Cell, ModeThresholds
from tiny import make_cell, make_tiny_config


def test_round_trip_through_json():
    cells = {"document": make_cell(0.7), "document|long": make_cell(0.6, pooled=True)}
    config = make_tiny_config(
        thresholds={Mode.BALANCED: ModeThresholds(make_cell(0.5), cells)}, temperature=1.7
    )
    again = BundleConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert again.thresholds[Mode.BALANCED].cells["document|long"].pooled


def test_model_before_calibration():
    config = make_tiny_config(thresholds={})
    assert not config.calibrated
    done = config.with_thresholds({Mode.BALANCED: ModeThresholds(make_cell(0.4))}, 2.0)
    assert done.calibrated
    assert done.temperature == 2.0


def test_a_checkpoint_may_have_a_temperature_of_its_own():
    config = make_tiny_config(temperature=2.0, temperatures={"document": 0.5})
    assert config.temperature_at(Checkpoint.DOCUMENT) == 0.5
    assert config.temperature_at(Checkpoint.PLAN) == config.temperature_at(None) == 2.0
    assert BundleConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    before = {k: v for k, v in config.to_dict().items() if k != "temperatures"}
    assert BundleConfig.from_dict(before).temperatures == {}  # a folder of an earlier release


def test_unknown_keys_are_left_out():
    data = make_tiny_config().to_dict() | {"later": 1}
    assert BundleConfig.from_dict(data) == make_tiny_config()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", 2, "format 2"),
        ("normalize_version", 99, "normalize_version 99"),
        ("tokenize_version", 0, "tokenize_version 0"),
        ("labels", ["unsafe", "safe"], "labels"),
        ("labels", "safe", "list of words"),
        ("input_names", [1], "list of words"),
        ("temperature", 0, "temperature"),
        ("temperatures", {"document": 0}, "temperature"),
        ("temperatures", {"kitchen": 1.0}, "no checkpoints"),
        ("temperatures", [1.0], "JSON object"),
        ("temperature", True, "temperature"),
        ("max_tokens", 2.5, "max_tokens"),
        ("overlap", -1, "overlap"),
        ("thresholds", [], "thresholds"),
        ("thresholds", {"strict": {}}, "strict"),
        ("thresholds", {"balanced": {"pooled": {}}}, "cells"),
        ("thresholds", {"balanced": {"pooled": {}, "cells": {}}}, "balanced.pooled lacks"),
        ("thresholds", {"balanced": 3}, "balanced must be a JSON object"),
    ],
)
def test_what_would_be_misread_is_refused(key, value, message):
    with pytest.raises(ModelFormatError, match=message):
        BundleConfig.from_dict(make_tiny_config().to_dict() | {key: value})


def test_missing_key_is_named():
    data = make_tiny_config().to_dict()
    del data["max_tokens"]
    with pytest.raises(ModelFormatError, match="lacks max_tokens"):
        BundleConfig.from_dict(data)


@pytest.mark.parametrize(
    ("key", "value"),
    [("threshold", 1.5), ("threshold", "0.5"), ("threshold", None), ("recall", -0.1), ("n", -1)],
)
def test_cell_with_an_impossible_number_is_refused(key, value):
    data = make_tiny_config().to_dict()
    data["thresholds"]["balanced"]["pooled"][key] = value
    with pytest.raises(ModelFormatError, match=rf"balanced.pooled: {key}"):
        BundleConfig.from_dict(data)


def test_cell_without_unsafe_rows_has_no_recall():
    data = make_tiny_config().to_dict()
    data["thresholds"]["balanced"]["pooled"]["recall"] = None
    assert BundleConfig.from_dict(data).thresholds[Mode.BALANCED].pooled.recall is None


def test_threshold_that_is_not_a_number_is_refused():
    with pytest.raises(ModelFormatError, match="nan"):
        make_cell(float("nan"))
    assert isinstance(make_cell(0.0), Cell)
