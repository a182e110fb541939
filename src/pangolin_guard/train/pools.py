"""The raw material of augmentation, taken from one split of a dataset.

Enters: the rows of a split. Leaves: `Pools`, from which the steps draw benign requests, carrier
documents, attacks and harmful requests. A draw picks a source first (by the square root of its
rows) and a row of it second, so that no large source fills everything.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pangolin_guard.errors import DatasetError
from pangolin_guard.types import Checkpoint

Row = dict[str, Any]
DATA_CHECKPOINTS = (
    Checkpoint.DOCUMENT,
    Checkpoint.TOOL_OUTPUT,
    Checkpoint.TOOL_DESCRIPTION,
    Checkpoint.MEMORY,
)
_COMMANDS = (
    "add act analyze answer arrange ask assume brainstorm build calculate change check choose "
    "classify come combine compare compile compose compute consider construct convert correct "
    "create critique debug define deliver describe design determine develop discuss draft draw edit "
    "estimate evaluate explain extract fill find fix format formulate generate give help identify "
    "imagine implement improve invent list make name offer organize outline paraphrase perform plan "
    "please predict prepare present propose provide rank rate recommend reformat rephrase rewrite "
    "search select send set shorten show simplify solve sort suggest summarize take tell think "
    "translate turn use verify write"
)
_VERBS = frozenset(_COMMANDS.split())
# Kinds of benign rows that a guard is prone to flag.
HARD_KINDS = frozenset(
    [
        "hard_trigger",
        "discusses_attack",
        "thought_experiment",
        "over_refusal",
        "over_refusal_authority_prefix",
        "security_question",
        "mitre_frr_borderline_benign",
        "ethics_statement",
        "sensitive_topic",
        "roleplay",
        "role_play",
        "act_as",
        "prompt_engineering",
        "security_doc",
        "tool_desc_imperative",
        "elaborate_instruction",
    ]
)
_EDGY = frozenset(
    [
        "thought_experiment",
        "over_refusal",
        "over_refusal_authority_prefix",
        "security_question",
        "mitre_frr_borderline_benign",
        "sensitive_topic",
    ]
)
_DISGUISED = frozenset({"obfuscated", "cipher", "encoded_or_prefix_attack", "gcg"})


class Pool:
    """Rows of one use, drawn evenly over their sources."""

    def __init__(self, name: str, rows: Iterable[Row]) -> None:
        """Sort the rows by source."""
        by_source: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            by_source[row["source"]].append(row)
        self.name = name
        self._sources = [by_source[key] for key in sorted(by_source)]
        self._weights = [len(rows) ** 0.5 for rows in self._sources]

    def __len__(self) -> int:
        """Return the number of rows."""
        return sum(len(rows) for rows in self._sources)

    def draw(self, rng: random.Random) -> Row:
        """Return one row.

        Raises:
            DatasetError: If the pool is empty.
        """
        if not self._sources:
            raise DatasetError(
                f"the data set has no rows to serve as {self.name}; switch the step off by "
                "setting its count to 0"
            )
        return rng.choice(rng.choices(self._sources, self._weights)[0])


@dataclass(frozen=True)
class Pools:
    """What the steps draw from: one pool per use.

    Of `asks`, `requests` are the clear ones and `edgy` those near a sensitive subject.
    """

    asks: Pool
    requests: Pool
    edgy: Pool
    carriers: Pool
    tools: Pool
    memories: Pool
    plans: Pool
    responses: Pool
    attacks: Pool
    payloads: Pool
    harms: Pool


def _between(low: int, high: int) -> Callable[[Row], bool]:
    return lambda row: low <= len(row["text"]) <= high


def is_request(text: str) -> bool:
    """Tell a short question or command from other text: by its end, or by its first word."""
    words = text.split(maxsplit=1)
    if not words or not 15 <= len(text) <= 240 or text.count("\n") > 1:
        return False
    return text.rstrip().endswith(("?", "？")) or words[0].strip(",:").lower() in _VERBS


def make_pools(rows: Sequence[Row], harmful: Sequence[Row]) -> Pools:
    """Sort a split's rows by their use.

    Args:
        rows: Rows with the columns of a dataset folder.
        harmful: Plain harmful requests without any attack technique.
    """
    safe = [row for row in rows if row["label"] == 0]
    unsafe = [row for row in rows if row["label"] == 1]
    short, carrier = _between(12, 320), _between(120, 10**7)

    def at(checkpoint: Checkpoint, want: Callable[[Row], bool]) -> list[Row]:
        return [row for row in safe if row["checkpoint"] == checkpoint and want(row)]

    from_user = (None, Checkpoint.USER_INPUT)
    plain = [row for row in unsafe if row["kind"] not in _DISGUISED and short(row)]
    asks = [row for row in safe if row["checkpoint"] in from_user and short(row)]
    return Pools(
        asks=Pool("user messages", asks),
        requests=Pool("requests", [row for row in asks if is_request(row["text"])]),
        edgy=Pool("sensitive questions", [row for row in asks if row["kind"] in _EDGY]),
        carriers=Pool(
            "carriers", at(Checkpoint.DOCUMENT, carrier) + at(Checkpoint.TOOL_OUTPUT, carrier)
        ),
        tools=Pool("tool descriptions", at(Checkpoint.TOOL_DESCRIPTION, _between(20, 10**7))),
        memories=Pool("memories", at(Checkpoint.MEMORY, _between(20, 10**7))),
        plans=Pool("plans", at(Checkpoint.PLAN, _between(20, 10**7))),
        responses=Pool("answers", at(Checkpoint.MODEL_RESPONSE, _between(20, 10**7))),
        attacks=Pool("attacks", [r for r in plain if r["checkpoint"] in from_user]),
        payloads=Pool("payloads", [r for r in unsafe if r["payload"]]),
        harms=Pool("harmful requests", [r for r in harmful if short(r)]),
    )
