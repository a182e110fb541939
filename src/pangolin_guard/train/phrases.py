"""Our own phrases, with their slots filled.

Enters: the YAML files in `wording/`. Leaves: `Phrases`, which draws a filled phrase of a list. The first fifth
of every list is for evaluation splits only, the rest for training. Knows nothing of rows.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from pangolin_guard.extras import require

_SLOT = re.compile(r"\{(\w+)\}")
_SHARED = "slots.yaml"  # lists that only fill small slots: names, things, hosts
_FILES = (_SHARED, "attacks.yaml", "benign.yaml", "agents.yaml", "frames.yaml")
_EVAL_SHARE = 5


@dataclass(frozen=True)
class Phrases:
    """Lists of phrases for one side of the split."""

    lists: Mapping[str, tuple[str, ...]]

    def draw(self, name: str, rng: random.Random, **given: str) -> str:
        """Return a phrase of a list with its slots filled.

        Args:
            name: The list.
            rng: The source of chance.
            given: Values of slots that are no lists, such as `ask`; they are not searched for
                slots themselves.

        Raises:
            KeyError: If a slot is neither given nor a list.
        """
        return self.fill(rng.choice(self.lists[name]), rng, **given)

    def fill(self, phrase: str, rng: random.Random, **given: str) -> str:
        """Fill the slots of one phrase; see `draw`."""

        def value(match: re.Match[str]) -> str:
            slot = match.group(1)
            return given[slot] if slot in given else self.draw(slot, rng)

        return _SLOT.sub(value, phrase)


def load_phrases(*, evaluation: bool) -> Phrases:
    """Read the packaged phrases of the training or of the evaluation side.

    Lists that only fill small slots (names, things, hosts) are shared by both sides.
    """
    yaml = require("data", "yaml")
    folder = resources.files("pangolin_guard.train").joinpath("wording")
    lists: dict[str, tuple[str, ...]] = {}
    for file in _FILES:
        for name, phrases in yaml.safe_load(folder.joinpath(file).read_text("utf-8")).items():
            cut = 0 if file == _SHARED else max(1, len(phrases) // _EVAL_SHARE)
            side = phrases if not cut else phrases[:cut] if evaluation else phrases[cut:]
            lists[name] = tuple(side)
    return Phrases(lists)
