"""Batches, their order, and the loss over them.

Enters: `TokenRows`. Leaves: a map-style dataset whose items depend only on (seed, epoch, row),
a sampler that puts rows of like length together, padded tensors, and a weighted loss. Knows
nothing of files or of the training loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pangolin_guard.train.config import TrainConfig
from pangolin_guard.train.gate import torch
from pangolin_guard.train.inputs import IntArray, TokenRows

Item = dict[str, Any]


class TrainRows:
    """One window per row and visit; the visit is fixed by (seed, epoch, row)."""

    def __init__(self, rows: TokenRows, config: TrainConfig) -> None:
        """Keep the rows; the epoch is set from outside before each pass."""
        self.rows = rows
        self.epoch = 0
        self._seed = config.seed
        self._shares = (config.checkpoint_dropout, config.first_window_share)
        self._weights = row_weights(rows, class_balance=config.class_balance)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows.split)

    def window(self, row: int) -> int:
        """Return the number of the window that this epoch's visit of the row uses."""
        rng = np.random.default_rng((self._seed, self.epoch, row))
        return self.rows.choose(row, rng, self._shares)

    def lengths(self) -> IntArray:
        """Return the tokens of each row's window in this epoch, shape (N,)."""
        return self.rows.store.lengths[[self.window(row) for row in range(len(self))]]

    def __getitem__(self, row: int) -> Item:
        """Return one row as unpadded arrays."""
        item = _item(self.rows, row, self.window(row))
        item["sample_weight"] = float(self._weights[row])
        return item


class EvalRows:
    """Every window of every row, longest first, in the forms asked for.

    `groups` tells for each item which (row, form) it belongs to, so that a row's score can be
    the highest of its windows, as in serving.
    """

    def __init__(self, rows: TokenRows, form: str) -> None:
        """Lay out the windows of the forms "own", "blind" or "both"."""
        self.rows = rows
        n = len(rows.split)
        self.forms = {"own": ("own",), "blind": ("blind",)}.get(form, ("own", "blind"))
        where: list[tuple[int, int, int]] = []
        for number, name in enumerate(self.forms):
            for row, kept in enumerate(getattr(rows, name)):
                where += [(number * n + row, row, w) for w in range(kept.first, kept.last)]
        layout = np.array(where, dtype=np.int64)
        order = np.argsort(-rows.store.lengths[layout[:, 2]], kind="stable")
        self._layout = layout[order]
        self.groups: IntArray = self._layout[:, 0]

    def __len__(self) -> int:
        """Return the number of windows over all forms."""
        return len(self._layout)

    def __getitem__(self, index: int) -> Item:
        """Return one window as unpadded arrays."""
        _, row, window = self._layout[index]
        return _item(self.rows, int(row), int(window))

    def row_scores(self, p_windows: np.ndarray) -> dict[str, np.ndarray]:
        """Turn P(unsafe) of the items into one score per row and form."""
        n = len(self.rows.split)
        best = np.zeros(n * len(self.forms))
        np.maximum.at(best, self.groups, p_windows)
        return {name: best[i * n : (i + 1) * n] for i, name in enumerate(self.forms)}


def _item(rows: TokenRows, row: int, window: int) -> Item:
    return {
        "ids": rows.store.ids(window),
        "first_segment": rows.store.first_segment(window),
        "label": int(rows.split.labels[row]),
        "sample_weight": 1.0,
        "teacher_p": rows.teacher_p(row, window),
    }


def row_weights(rows: TokenRows, *, class_balance: bool) -> np.ndarray:
    """Return the loss weight of each row, with mean 1 over the split.

    Args:
        rows: The rows with their own weights.
        class_balance: Whether both classes get the same total weight.
    """
    weights = rows.split.weights.astype(np.float64)
    if class_balance:
        for label in (0, 1):
            total = weights[rows.split.labels == label].sum()
            weights[rows.split.labels == label] /= max(total, 1e-12)
    return weights / max(float(weights.mean()), 1e-12)


@dataclass(frozen=True)
class Collate:
    """Pads items to the longest of their batch and builds the model's tensors."""

    pad_id: int
    token_types: bool

    def __call__(self, items: Sequence[Item]) -> dict[str, torch.Tensor]:
        """Return input ids, mask, token types where used, and what the loss needs."""
        longest = max(len(item["ids"]) for item in items)
        ids = np.full((len(items), longest), self.pad_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        types = np.zeros_like(ids)
        for i, item in enumerate(items):
            n = len(item["ids"])
            ids[i, :n] = item["ids"]
            mask[i, :n] = 1
            types[i, item["first_segment"] : n] = 1
        batch = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        if self.token_types:
            batch["token_type_ids"] = torch.from_numpy(types)
        batch["labels"] = torch.tensor([item["label"] for item in items])
        for key in ("sample_weight", "teacher_p"):
            batch[key] = torch.tensor([item[key] for item in items], dtype=torch.float32)
        return batch


class LengthSampler(torch.utils.data.Sampler[int]):
    """A seeded shuffle; rows of like length share a batch, the order of batches is random."""

    def __init__(self, rows: TrainRows, *, batch_size: int, seed: int, group: bool) -> None:
        """Keep the settings; the order depends on (seed, epoch of the rows) alone."""
        self._rows = rows
        self._batch_size = batch_size
        self._seed = seed
        self._group = group

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    def __iter__(self) -> Iterator[int]:
        """Yield every row once."""
        rng = np.random.default_rng((self._seed, self._rows.epoch))
        order = rng.permutation(len(self._rows))
        if not self._group:
            return iter(order.tolist())
        lengths = self._rows.lengths()
        pool = 50 * self._batch_size
        batches: list[np.ndarray] = []
        for start in range(0, len(order), pool):
            part = order[start : start + pool]
            part = part[np.argsort(-lengths[part], kind="stable")]
            batches += [
                part[i : i + self._batch_size] for i in range(0, len(part), self._batch_size)
            ]
        # The short batch must come last, or every later batch would mix lengths.
        tail = [batch for batch in batches if len(batch) < self._batch_size]
        full = [batch for batch in batches if len(batch) == self._batch_size]
        mixed = [full[i] for i in rng.permutation(len(full))] + tail
        return iter(np.concatenate(mixed).tolist())


@dataclass(frozen=True)
class GuardLoss:
    """Weighted cross-entropy with soft targets.

    The target of a row is its label, smoothed, mixed with the teacher's probability where the
    row has one: `(1 - alpha) * label + alpha * teacher`. Its gradient is that of a
    cross-entropy plus a KL term of weight alpha.
    """

    label_smoothing: float = 0.0
    distill_alpha: float = 0.0
    focal_gamma: float = 0.0

    def __call__(self, logits: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the mean loss of a batch; logits have shape (N, 2)."""
        logits = logits.float()
        target = batch["labels"].float()
        target = target * (1 - self.label_smoothing) + self.label_smoothing / 2
        if self.distill_alpha:
            teacher = batch["teacher_p"]
            mixed = (1 - self.distill_alpha) * target + self.distill_alpha * teacher
            target = torch.where(teacher.isnan(), target, mixed)
        log_p = torch.log_softmax(logits, dim=-1)
        loss = -(1 - target) * log_p[:, 0] - target * log_p[:, 1]
        if self.focal_gamma:
            p_right = log_p.gather(1, batch["labels"][:, None]).squeeze(1).exp()
            loss = loss * (1 - p_right) ** self.focal_gamma
        return (loss * batch["sample_weight"]).mean()
