"""The augmentation steps: each call makes an attack and its benign twin.

Enters: pools, phrases, a source of chance. Leaves: new rows. A step never makes one side alone
where the other exists: a frame, an encoding or an inserted line must not be evidence by itself.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pangolin_guard.train import splice, transforms
from pangolin_guard.train.pairs import Pair
from pangolin_guard.train.phrases import Phrases
from pangolin_guard.train.pools import Pool, Pools, Row
from pangolin_guard.types import Checkpoint

USER, DOCUMENT = Checkpoint.USER_INPUT, Checkpoint.DOCUMENT


@dataclass(frozen=True)
class Kit:
    """What a step works with."""

    pools: Pools
    phrases: Phrases
    rng: random.Random
    pairs: Sequence[Pair] = ()
    tipping: Sequence[str] = ()

    def say(self, name: str, **given: str) -> str:
        """Draw a filled phrase."""
        return self.phrases.draw(name, self.rng, **given)

    def attack(self) -> str:
        """Draw an attack: collected, or of our own phrases."""
        kind = self.rng.random()
        if kind < 0.45:
            return str(self.pools.attacks.draw(self.rng)["text"])
        if kind < 0.9:
            return self.say("override")
        return self.say("leak")


Step = Callable[[Kit], Iterator[Row]]


def _row(base: Row, text: str, label: int, **changes: object) -> Row:
    """Derive a row; its group and source stay those of the row it came from."""
    return {**base, "text": text, "label": label, "payload": None, **changes}


def _at(row: Row, kit: Kit) -> str:
    """Choose where a carrier is read: a document may also come out of a tool."""
    if row["checkpoint"] == DOCUMENT and kit.rng.random() < 0.3:
        return Checkpoint.TOOL_OUTPUT
    return str(row["checkpoint"])


def _carrier(kit: Kit) -> tuple[Row, str]:
    row = kit.pools.carriers.draw(kit.rng)
    return row, splice.crop(row["text"], int(80 * 2 ** kit.rng.uniform(0, 5)), kit.rng)


def _spliced(kit: Kit, payload: str, *, hidden: float) -> Row:
    row, carrier = _carrier(kit)
    place = _at(row, kit)
    shape = kit.rng.random()
    if shape < 0.2 + hidden:
        payload = splice.flat(payload)
    if shape < 0.2:
        text, place = splice.as_record(carrier, payload, kit.rng), str(Checkpoint.TOOL_OUTPUT)
    elif shape > 0.95:
        payload = splice.as_link(splice.flat(payload), kit.say("host"), kit.rng)
        text = splice.insert(carrier, payload, kit.rng)
    else:
        shown = splice.hide(payload, kit.rng) if shape < 0.2 + hidden else payload
        text = splice.insert(carrier, shown, kit.rng)
    return _row(row, text, 1, checkpoint=place, payload=payload, kind="spliced")


def _clean(kit: Kit) -> Row:
    """Make the twin of a splice: a carrier with harmless text inserted, or with none."""
    row, carrier = _carrier(kit)
    shape = kit.rng.random()
    other = splice.crop(kit.pools.carriers.draw(kit.rng)["text"], kit.rng.randint(30, 220), kit.rng)
    note = kit.say("human_note") if kit.rng.random() < 0.5 else splice.flat(other)
    if shape < 0.15:
        text, place = splice.as_record(carrier, note, kit.rng), Checkpoint.TOOL_OUTPUT
        return _row(row, text, 0, checkpoint=place, kind="carrier")
    if shape < 0.25:
        ask = str(kit.pools.requests.draw(kit.rng)["text"])
        other = kit.say("mention", ask=ask, text=other)
    elif shape < 0.3:
        other = kit.say("attack_mention", attack=kit.attack())
    elif shape < 0.35:
        other = splice.as_link(splice.flat(note), kit.say("host"), kit.rng)
    elif shape < 0.5:
        other = splice.hide(note, kit.rng)
    elif shape < 0.75:
        other = kit.say("human_note")
    elif shape > 0.85:
        return _row(row, carrier, 0, checkpoint=_at(row, kit), kind="carrier")
    text = splice.insert(carrier, other, kit.rng)
    return _row(row, text, 0, checkpoint=_at(row, kit), kind="carrier")


def splice_ask(kit: Kit) -> Iterator[Row]:
    """Put a benign request into a benign document: unsafe there."""
    ask = str(kit.pools.requests.draw(kit.rng)["text"])
    yield _spliced(kit, kit.say("lead") + ask, hidden=0.15)
    yield _clean(kit)


def splice_attack(kit: Kit) -> Iterator[Row]:
    """Put an attack into a benign document."""
    attack = kit.say("lure") if kit.rng.random() < 0.2 else kit.attack()
    yield _spliced(kit, attack, hidden=0.35)
    yield _clean(kit)


def bare_ask(kit: Kit) -> Iterator[Row]:
    """Let a request be all that a document or a tool holds: unsafe there, safe from a user."""
    row = kit.pools.requests.draw(kit.rng)
    place = kit.rng.choice((DOCUMENT, Checkpoint.TOOL_OUTPUT))
    text = kit.say("lead") + row["text"]
    yield _row(row, text, 1, checkpoint=place, kind="bare_ask", checkpoint_fixed=True)
    yield _row(row, row["text"], 0, checkpoint=USER, kind="ask", checkpoint_fixed=True)
    base = kit.pools.carriers.draw(kit.rng)
    piece = splice.crop(base["text"], kit.rng.randint(30, 200), kit.rng)
    yield _row(base, piece, 0, checkpoint=place, kind="carrier")


def bare_payload(kit: Kit) -> Iterator[Row]:
    """Show a known payload without its carrier, its origin unknown or a document."""
    row = kit.pools.payloads.draw(kit.rng)
    place = kit.rng.choice((None, DOCUMENT, Checkpoint.TOOL_OUTPUT))
    yield _row(row, row["payload"], 1, checkpoint=place, kind="bare_payload")


def _framed(kit: Kit, ask: str) -> str:
    """Put a request into a frame, now and then between sentences that set the scene."""
    text = kit.say("frame", ask=ask)
    if kit.rng.random() < 0.3:
        text = f"{kit.say('opener')} {text}"
    if kit.rng.random() < 0.3:
        text = f"{text} {kit.say('constraint')}"
    return text


def frame(kit: Kit) -> Iterator[Row]:
    """Put a benign and a harmful request into frames of one list."""
    chance = kit.rng.random()
    near = kit.pools.edgy if len(kit.pools.edgy) else kit.pools.asks
    pool = kit.pools.requests if chance < 0.4 else near if chance < 0.7 else kit.pools.asks
    ask, harm = pool.draw(kit.rng), kit.pools.harms.draw(kit.rng)
    wanted = kit.say("edgy") if chance > 0.9 else ask["text"]
    yield _row(ask, _framed(kit, wanted), 0, checkpoint=USER, kind="framed_ask")
    if kit.rng.random() < 0.6:
        yield _row(harm, _framed(kit, harm["text"]), 1, checkpoint=USER, kind="framed_harm")


def hard_frame(kit: Kit) -> Iterator[Row]:
    """Put a request into a frame that lifts all rules."""
    pool = kit.pools.harms if kit.rng.random() < 0.7 else kit.pools.asks
    row = pool.draw(kit.rng)
    yield _row(row, kit.say("hard_frame", harm=row["text"]), 1, checkpoint=USER, kind="jailbreak")


def override(kit: Kit) -> Iterator[Row]:
    """Write an override or a leak attempt, alone or behind a benign request."""
    row = kit.pools.asks.draw(kit.rng)
    kind = kit.rng.random()
    attack = kit.say("leak") if kind < 0.35 else kit.say("override")
    if kind > 0.92:
        attack = kit.say("override_i18n")
    if kit.rng.random() < 0.35:
        attack = splice.insert(row["text"], attack, kit.rng)
    yield _row(row, attack, 1, checkpoint=USER, kind="override")


def trigger(kit: Kit) -> Iterator[Row]:
    """Write a benign message with the words of attacks, alone or beside another request."""
    row = kit.pools.asks.draw(kit.rng)
    text = kit.say("benign_i18n" if kit.rng.random() < 0.08 else "trigger")
    shape = kit.rng.random()
    if shape < 0.2:
        text = f"{text} {row['text']}"
    elif shape < 0.4:
        text = f"{row['text']}\n{text}"
    elif shape < 0.55:
        text = f"{text} {kit.say('trigger')}"
    elif shape < 0.6:
        text = kit.say("edgy")
    yield _row(row, text, 0, checkpoint=USER, kind="hard_trigger")


def tipping(kit: Kit) -> Iterator[Row]:
    """Write a benign message around a word that tips a model by itself."""
    if not kit.tipping:
        return
    row = kit.pools.asks.draw(kit.rng)
    text = kit.say("tipping", tip=kit.rng.choice(kit.tipping))
    if kit.rng.random() < 0.3:
        text = f"{row['text']} {text}" if kit.rng.random() < 0.5 else f"{text}\n{row['text']}"
    yield _row(row, text, 0, checkpoint=USER, kind="hard_trigger")


def encode(kit: Kit) -> Iterator[Row]:
    """Encode an attack and a benign text."""
    change = transforms.ENCODINGS[kit.rng.choice(sorted(transforms.ENCODINGS))]
    row = kit.pools.asks.draw(kit.rng)
    for text, label in ((kit.attack(), 1), (row["text"], 0)):
        coded = transforms.wrap_encoded(change(text[:200], kit.rng), kit.rng)
        yield _row(row, coded, label, checkpoint=USER, kind="encoded")


def respell(kit: Kit) -> Iterator[Row]:
    """Respell an attack and a benign text."""
    change = transforms.SPELLINGS[kit.rng.choice(sorted(transforms.SPELLINGS))]
    row = kit.pools.asks.draw(kit.rng)
    for text, label in ((kit.attack(), 1), (row["text"], 0)):
        yield _row(row, change(text[:250], kit.rng), label, checkpoint=USER, kind="respelled")


def suffix(kit: Kit) -> Iterator[Row]:
    """Put a gibberish suffix behind a request, and an odd but ordinary end behind another."""
    pool = kit.pools.harms if kit.rng.random() < 0.75 else kit.pools.asks
    row, ask = pool.draw(kit.rng), kit.pools.asks.draw(kit.rng)
    text = f"{row['text']} {transforms.gibberish_suffix(kit.rng)}"
    yield _row(row, text, 1, checkpoint=USER, kind="suffix")
    text = f"{ask['text']} {transforms.harmless_tail(kit.rng)}"
    yield _row(ask, text, 0, checkpoint=USER, kind="odd_tail")


def tool_note(kit: Kit) -> Iterator[Row]:
    """Poison a tool's description, and put a strict but ordinary rule into another."""
    for name, label in (("tool_note", 1), ("tool_must", 0)):
        row = kit.pools.tools.draw(kit.rng)
        carrier = splice.crop(row["text"], kit.rng.randint(60, 900), kit.rng)
        note = kit.say(name)
        text = splice.insert(carrier, note, kit.rng)
        yield _row(row, text, label, payload=note if label else None, kind=name)


def memory(kit: Kit) -> Iterator[Row]:
    """Poison a memory, and put an ordinary note into another."""
    for name, label in (("bad_memory", 1), ("good_memory", 0)):
        row = kit.pools.memories.draw(kit.rng)
        use_attack = label == 1 and kit.rng.random() < 0.35
        note = kit.attack() if use_attack else kit.say(name)
        carrier = splice.crop(row["text"], kit.rng.randint(60, 900), kit.rng)
        alone = kit.rng.random() < 0.3
        text = note if alone else splice.insert(carrier, note, kit.rng)
        yield _row(row, text, label, payload=note if label else None, kind=name)


def plan(kit: Kit) -> Iterator[Row]:
    """Let a plan be taken over, and keep another as it should be."""
    for name, label in (("bad_plan", 1), ("good_plan", 0)):
        row = kit.pools.plans.draw(kit.rng)
        note = kit.say(name)
        carrier = splice.crop(row["text"], kit.rng.randint(60, 700), kit.rng)
        alone = kit.rng.random() < 0.4
        text = note if alone else splice.insert(carrier, note, kit.rng)
        yield _row(row, text, label, payload=note if label else None, kind=name)


def response(kit: Kit) -> Iterator[Row]:
    """Let an answer leak or obey an injection, and let another only look like it."""
    for name, label in (("bad_response", 1), ("good_response", 0)):
        row = kit.pools.responses.draw(kit.rng)
        note = kit.say(name)
        carrier = splice.crop(row["text"], kit.rng.randint(40, 700), kit.rng)
        alone = kit.rng.random() < 0.4
        text = note if alone else splice.insert(carrier, note, kit.rng)
        yield _row(row, text, label, payload=note if label else None, kind=name)


def pair(kit: Kit) -> Iterator[Row]:
    """Show both sides of one of our pairs in the same way: alone, restyled, or beside a text."""
    drawn = kit.rng.choice(kit.pairs)
    shape, seed = kit.rng.random(), kit.rng.random()
    pool = _neighbours(kit, drawn.checkpoint)
    base = (pool if len(pool) else kit.pools.asks).draw(kit.rng)
    near = splice.crop(base["text"], int(40 * 2 ** kit.rng.uniform(0, 4)), kit.rng)
    for text, label in drawn.sides:
        rng, shown = random.Random(seed), text
        if shape < 0.45 and len(pool):
            shown = splice.insert(near, text, rng)
        elif shape < 0.6:
            shown = transforms.restyle(text, rng)
        yield _row(
            base,
            shown,
            label,
            payload=text if label and shown != text else None,
            checkpoint=drawn.checkpoint,
            source=f"pairs_{drawn.family}",
            kind="pair",
        )


def _neighbours(kit: Kit, checkpoint: Checkpoint) -> Pool:
    """Return the benign texts that may stand beside a text at a checkpoint."""
    return {
        USER: kit.pools.asks,
        Checkpoint.TOOL_DESCRIPTION: kit.pools.tools,
        Checkpoint.MEMORY: kit.pools.memories,
        Checkpoint.PLAN: kit.pools.plans,
        Checkpoint.MODEL_RESPONSE: kit.pools.responses,
    }.get(checkpoint, kit.pools.carriers)


STEPS: dict[str, Step] = {
    "splice_ask": splice_ask,
    "splice_attack": splice_attack,
    "bare_ask": bare_ask,
    "bare_payload": bare_payload,
    "frame": frame,
    "hard_frame": hard_frame,
    "override": override,
    "trigger": trigger,
    "tipping": tipping,
    "encode": encode,
    "respell": respell,
    "suffix": suffix,
    "tool_note": tool_note,
    "memory": memory,
    "plan": plan,
    "response": response,
    "pair": pair,
}

NEEDS: dict[str, tuple[str, ...]] = {
    "splice_ask": ("requests", "attacks", "carriers"),
    "splice_attack": ("requests", "attacks", "carriers"),
    "bare_ask": ("requests", "carriers"),
    "bare_payload": ("payloads",),
    "frame": ("requests", "harms"),
    "hard_frame": ("asks", "harms"),
    "suffix": ("asks", "harms"),
    "tool_note": ("tools",),
    "memory": ("memories", "attacks"),
    "plan": ("plans",),
    "response": ("responses",),
    "pair": ("asks",),
}
