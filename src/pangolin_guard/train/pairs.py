"""Our own contrastive pairs: an attack and the legitimate text that looks most like it.

Enters: the JSON Lines files in `wording/pairs/`, one family a file. Leaves: `Pair`. As with the
phrases, the first fifth of every file is for evaluation splits only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources

from pangolin_guard.errors import DatasetError
from pangolin_guard.types import Checkpoint

_EVAL_SHARE = 5
_FIELDS = {"checkpoint", "attack", "twin"}


@dataclass(frozen=True)
class Pair:
    """An attack and its benign twin at one checkpoint; one of both may be missing (None)."""

    family: str
    checkpoint: Checkpoint
    attack: str | None
    twin: str | None

    @property
    def sides(self) -> tuple[tuple[str, int], ...]:
        """The texts at hand with their labels: 1 unsafe, 0 safe."""
        both = ((self.attack, 1), (self.twin, 0))
        return tuple((text, label) for text, label in both if text)


def load_pairs(*, evaluation: bool) -> tuple[Pair, ...]:
    """Read the packaged pairs of the training or of the evaluation side.

    Raises:
        DatasetError: If a line is no pair; named by file and line.
    """
    folder = resources.files("pangolin_guard.train").joinpath("wording", "pairs")
    pairs: list[Pair] = []
    for file in sorted(folder.iterdir(), key=lambda item: item.name):
        if not file.name.endswith(".jsonl"):
            continue
        lines = file.read_text("utf-8").splitlines()
        family = file.name.removesuffix(".jsonl")
        read = [_pair(line, family, at) for at, line in enumerate(lines, start=1) if line.strip()]
        cut = max(1, len(read) // _EVAL_SHARE)
        pairs.extend(read[:cut] if evaluation else read[cut:])
    return tuple(pairs)


def _pair(line: str, family: str, row: int) -> Pair:
    try:
        fields = json.loads(line)
        if not isinstance(fields, dict) or set(fields) - _FIELDS:
            raise ValueError("the fields are checkpoint, attack and twin")
        pair = Pair(
            family=family,
            checkpoint=Checkpoint(fields["checkpoint"]),
            attack=fields.get("attack") or None,
            twin=fields.get("twin") or None,
        )
    except (ValueError, KeyError) as exc:
        raise DatasetError(f"not a pair: {exc}", source=family, row=row) from exc
    if not pair.sides:
        raise DatasetError("a pair needs an attack or a twin", source=family, row=row)
    return pair
