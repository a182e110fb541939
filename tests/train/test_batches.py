"""Batches, their order, and the loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from builds import sentences
from pangolin_guard import Checkpoint
from pangolin_guard.runtime.tokenize import TextTokenizer
from pangolin_guard.train.batches import (
    Collate,
    EvalRows,
    GuardLoss,
    LengthSampler,
    TrainRows,
    row_weights,
)
from pangolin_guard.train.config import TrainConfig
from pangolin_guard.train.inputs import Split, tokenize_split


def split_of(texts, labels, **columns):
    n = len(texts)
    settings = {
        "checkpoints": [Checkpoint.DOCUMENT] * n,
        "payloads": [None] * n,
        "weights": np.ones(n, np.float32),
        "teacher_p": np.full(n, np.nan, np.float32),
        "fixed": np.zeros(n, bool),
    }
    return Split(texts=list(texts), labels=np.array(labels), **settings | columns)


@pytest.fixture(scope="module")
def tokenizer(tiny_weights):
    return TextTokenizer.from_file(tiny_weights / "tokenizer.json", max_tokens=64, overlap=16)


@pytest.fixture
def rows(tokenizer):
    texts = [text for n in (3, 6, 40) for text in sentences(30, n, length=n)]
    return tokenize_split(split_of(texts, [0, 1] * 45), tokenizer, windows_per_row=8)


def config(**changes):
    return TrainConfig(data="d", out="o", **changes)


def test_a_visit_depends_on_seed_epoch_and_row_alone(rows):
    first, second = TrainRows(rows, config()), TrainRows(rows, config())
    for dataset in (first, second):
        dataset.epoch = 3
    assert [first.window(i) for i in range(90)] == [second.window(i) for i in reversed(range(90))][
        ::-1
    ]


def test_another_epoch_makes_other_choices(rows):
    dataset = TrainRows(rows, config())
    choices = []
    for epoch in range(2):
        dataset.epoch = epoch
        choices.append([dataset.window(i) for i in range(90)])
    assert choices[0] != choices[1]


@pytest.mark.parametrize("group", [True, False])
def test_the_sampler_yields_every_row_once(rows, group):
    sampler = LengthSampler(TrainRows(rows, config()), batch_size=8, seed=1, group=group)
    assert sorted(sampler) == list(range(90))
    assert list(sampler) == list(sampler)


def test_grouped_batches_waste_less_padding(rows):
    dataset = TrainRows(rows, config())
    lengths = dataset.lengths()

    def padding(group):
        order = list(LengthSampler(dataset, batch_size=8, seed=1, group=group))
        batches = [lengths[order[i : i + 8]] for i in range(0, 90, 8)]
        return sum(int((batch.max() - batch).sum()) for batch in batches)

    assert padding(True) < 0.5 * padding(False)


def test_the_short_batch_comes_last(rows):
    dataset = TrainRows(rows, config())
    order = list(LengthSampler(dataset, batch_size=8, seed=1, group=True))
    lengths = dataset.lengths()[order]
    mixed = [i for i in range(0, 90, 8) if np.ptp(lengths[i : i + 8]) > 15]
    assert len(mixed) <= 2  # three lengths of text meet in two batches


def test_collate_pads_and_marks_segments():
    items = [
        {"ids": np.array([1, 5, 2, 7, 2]), "first_segment": 3, "label": 1},
        {"ids": np.array([1, 2]), "first_segment": 2, "label": 0},
    ]
    extra = {"sample_weight": 1.0, "teacher_p": float("nan")}
    batch = Collate(pad_id=9, token_types=True)([{**item, **extra} for item in items])
    assert batch["input_ids"].tolist() == [[1, 5, 2, 7, 2], [1, 2, 9, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1] * 5, [1, 1, 0, 0, 0]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 1, 1], [0] * 5]


def test_a_rows_score_is_that_of_its_worst_window(rows):
    evaluation = EvalRows(rows, "both")
    p = np.random.default_rng(0).random(len(evaluation))
    scores = evaluation.row_scores(p)
    assert set(scores) == {"own", "blind"}
    for row in range(90):
        mine = [p[i] for i in range(len(p)) if evaluation.groups[i] == row]
        assert scores["own"][row] == max(mine)
        assert len(mine) == rows.own[row].last - rows.own[row].first


def test_evaluation_runs_from_long_to_short(rows):
    evaluation = EvalRows(rows, "own")
    lengths = [len(evaluation[i]["ids"]) for i in range(len(evaluation))]
    assert lengths == sorted(lengths, reverse=True)


def batch_of(labels, weights=None, teacher=None):
    n = len(labels)
    return {
        "labels": torch.tensor(labels),
        "sample_weight": torch.ones(n) if weights is None else torch.tensor(weights),
        "teacher_p": torch.full((n,), float("nan")) if teacher is None else torch.tensor(teacher),
    }


LOGITS = torch.tensor([[1.0, -1.0], [0.5, 2.0], [-3.0, 0.2]])


def test_the_plain_loss_is_cross_entropy():
    batch = batch_of([0, 1, 0])
    expected = torch.nn.functional.cross_entropy(LOGITS, batch["labels"])
    assert GuardLoss()(LOGITS, batch).item() == pytest.approx(expected.item())


def test_label_smoothing_is_that_of_torch():
    batch = batch_of([0, 1, 0])
    expected = torch.nn.functional.cross_entropy(LOGITS, batch["labels"], label_smoothing=0.1)
    assert GuardLoss(label_smoothing=0.1)(LOGITS, batch).item() == pytest.approx(expected.item())


def test_a_row_of_weight_zero_has_no_say():
    with_it = GuardLoss()(LOGITS, batch_of([0, 1, 0], [1.5, 1.5, 0.0]))
    without = GuardLoss()(LOGITS[:2], batch_of([0, 1]))
    assert with_it.item() == pytest.approx(without.item())


def test_rows_without_a_teacher_keep_their_label():
    loss = GuardLoss(distill_alpha=0.5)
    plain = GuardLoss()(LOGITS, batch_of([0, 1, 0]))
    assert loss(LOGITS, batch_of([0, 1, 0])).item() == pytest.approx(plain.item())


def test_a_teacher_pulls_towards_its_probability():
    logits = torch.zeros((1, 2), requires_grad=True)
    GuardLoss(distill_alpha=1.0)(logits, batch_of([0], teacher=[0.9])).backward()
    assert logits.grad[0, 1] == pytest.approx(0.5 - 0.9)


def test_focal_loss_looks_away_from_easy_rows():
    easy, hard = torch.tensor([[4.0, -4.0]]), torch.tensor([[-4.0, 4.0]])
    loss, plain = GuardLoss(focal_gamma=2.0), GuardLoss()
    batch = batch_of([0])
    assert loss(easy, batch) < 1e-3 * plain(easy, batch)
    assert loss(hard, batch) > 0.9 * plain(hard, batch)


def test_weights_average_to_one_and_classes_balance(tokenizer):
    split = split_of(sentences(4, 1), [0, 0, 0, 1], weights=np.array([1, 1, 2, 2], np.float32))
    rows = tokenize_split(split, tokenizer, windows_per_row=4)
    assert row_weights(rows, class_balance=False).tolist() == pytest.approx(
        [2 / 3, 2 / 3, 4 / 3, 4 / 3]
    )
    balanced = row_weights(rows, class_balance=True)
    assert balanced[:3].sum() == pytest.approx(balanced[3])
    assert balanced.mean() == pytest.approx(1.0)
