"""Cuts carriers out of documents and puts a text inside one.

Enters: a document, a payload, a source of chance. Leaves: a carrier, or a carrier with the
payload at a random depth. Knows nothing of labels.
"""

from __future__ import annotations

import html
import json
import random
import re
from urllib.parse import quote_plus

_BREAK = re.compile(r"\n+|(?<=[.!?;])\s+|(?<=\|)\n")
_HIDDEN = (
    "<!-- {p} -->",
    '<span style="display:none">{p}</span>',
    '<p style="color:#ffffff;font-size:1px">{p}</p>',
    '<img src="a.png" alt="{p}">',
    "[//]: # ({p})",
    '<meta name="description" content="{p}">',
    "/* {p} */",
    "# {p}",
    "// {p}",
)


def crop(document: str, length: int, rng: random.Random) -> str:
    """Return about `length` characters of a document, cut where lines or sentences break."""
    if len(document) <= length:
        return document
    start = rng.randrange(len(document) - length)
    if rng.random() < 0.4:
        start = 0
    cuts = [0, *(m.end() for m in _BREAK.finditer(document)), len(document)]
    first = min(cuts[:-1], key=lambda cut: abs(cut - start))
    last = min(cuts, key=lambda cut: abs(cut - first - length))
    piece = document[first:last].strip()
    return piece if 0 < len(piece) <= 2 * length else document[start : start + length].strip()


def insert(carrier: str, payload: str, rng: random.Random) -> str:
    """Put a payload between two lines or sentences of a carrier, or at one of its ends."""
    cuts = [0, *(m.end() for m in _BREAK.finditer(carrier)), len(carrier)]
    where = rng.random()
    cut = 0 if where < 0.15 else len(carrier) if where < 0.4 else rng.choice(cuts)
    glue = rng.choice(("\n", "\n\n", " ", "\n"))
    parts = (carrier[:cut].rstrip(), payload, carrier[cut:].lstrip())
    return glue.join(part for part in parts if part)


def flat(payload: str) -> str:
    """Return a text on one line and without quotation marks, fit for a field or an attribute."""
    return " ".join(payload.split()).replace('"', "'")


def hide(payload: str, rng: random.Random) -> str:
    """Wrap a flat text the way pages and files keep text out of sight."""
    return rng.choice(_HIDDEN).replace("{p}", payload)


def as_record(carrier: str, payload: str, rng: random.Random) -> str:
    """Return a tool's output that holds a flat text in a field of its own: JSON or a small page."""
    if rng.random() < 0.3:
        return (
            f"<html><body><article>{html.escape(carrier)}</article>\n<p>{payload}</p></body></html>"
        )
    key = rng.choice(("comment", "notes", "description", "message", "title", "footer"))
    record: dict[str, object] = {"id": rng.randrange(10**6), "content": carrier, key: payload}
    if rng.random() < 0.5:
        record = dict(reversed(record.items()))
    return json.dumps(record, ensure_ascii=False, indent=rng.choice((None, 2)))


def as_link(payload: str, host: str, rng: random.Random) -> str:
    """Return an address that carries a flat text in its query (RFC 3986)."""
    key = rng.choice(("note", "q", "title", "ref", "msg"))
    return f"https://{host}/item/{rng.randrange(10**4)}?{key}={quote_plus(payload)}&lang=en"
