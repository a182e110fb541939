"""Long benign texts, to hide a needle in and to count false positives on.

Enters: a dataset folder's split, a folder or file of text, or nothing, which takes the source of
Python's standard library. Leaves: `Haystack`, which cuts texts of a wanted number of tokens.
"""

from __future__ import annotations

import random
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pangolin_guard.errors import DatasetError, InputError
from pangolin_guard.extras import require

TEXT_SUFFIXES = (".txt", ".md", ".rst", ".html", ".py", ".eml", ".log", ".csv", ".json")
_LEAST_CHARS = 400
_CHARS_PER_TOKEN = 8  # more than any text needs; what is too long is cut by counting
_JOINT = "\n\n"

CountTokens = Callable[[str], int]


@dataclass(frozen=True)
class Haystack:
    """Benign documents and where they came from; `count` gives a text's tokens."""

    name: str
    documents: Sequence[str] = field(repr=False)
    count: CountTokens = field(repr=False)

    def text(self, tokens: int, rng: random.Random) -> str:
        """Return a benign text of about `tokens` tokens: one document, or several in a row.

        A document is begun at a random line, so that long ones give many texts. The length is
        within 5 % where the documents have lines to cut at.
        """
        parts: list[str] = []
        left = tokens
        while left > 0:
            part = _cut(_from_some_line(rng.choice(self.documents), rng), left, self.count)
            parts.append(part)
            left -= max(1, self.count(part))
            if left < tokens * 0.05:
                break
        return _JOINT.join(parts)


def insert_at(text: str, payload: str, depth: float) -> str:
    """Put a payload on a line of its own at a depth, 0.0 (start) to 1.0 (end).

    The line break nearest to the depth is taken, so that no word of the text is split.
    """
    if not 0.0 <= depth <= 1.0:
        raise ValueError(f"depth must lie in [0, 1], got {depth}")
    goal = round(len(text) * depth)
    before, after = text.rfind("\n", 0, goal), text.find("\n", goal)
    places = [0 if before < 0 else before, len(text) if after < 0 else after]
    at = min(places, key=lambda place: abs(place - goal))
    head, tail = text[:at].rstrip("\n"), text[at:].lstrip("\n")
    return "\n".join(part for part in (head, payload, tail) if part)


def read_haystack(
    source: Path | None, *, count: CountTokens, split: str = "holdout", checkpoint: str = "document"
) -> Haystack:
    """Read the benign documents of a place.

    Args:
        source: A dataset folder (its benign rows of `split` and `checkpoint` are taken), a folder
            of text files, or one such file. None takes Python's standard library.
        count: Gives the number of tokens of a text.
        split: The split of a dataset folder.
        checkpoint: The checkpoint of the rows of a dataset folder.

    Raises:
        InputError: If there is no text to take.
        DatasetError: If a dataset folder has no such split, or no such row.
        MissingExtraError: If a dataset folder is read without the `data` extra.
    """
    if source is None:
        folder = Path(sysconfig.get_paths()["stdlib"])
        documents = [text for text in _files(sorted(folder.glob("*.py")))]
        return Haystack("the source of Python's standard library", documents, count)
    if (source / f"{split}.parquet").is_file():
        documents = list(_rows(source / f"{split}.parquet", checkpoint))
        if not documents:
            raise DatasetError(
                f"no benign row of checkpoint '{checkpoint}' with {_LEAST_CHARS} characters in "
                f"{source / split}.parquet",
                source=str(source),
            )
        return Haystack(f"{source.name}, split {split}", documents, count)
    paths = [source] if source.is_file() else sorted(source.rglob("*"))
    documents = list(_files([path for path in paths if path.suffix in TEXT_SUFFIXES]))
    if not documents:
        raise InputError(
            f"no text to hide a needle in at '{source}': it takes a dataset folder with the split "
            f"'{split}', or files that end in {', '.join(TEXT_SUFFIXES)}"
        )
    return Haystack(source.name, documents, count)


def _files(paths: Sequence[Path]) -> Iterator[str]:
    for path in paths:
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        if len(text) >= _LEAST_CHARS:
            yield text


def _rows(path: Path, checkpoint: str) -> Iterator[str]:
    parquet = require("data", "pyarrow.parquet")
    columns = ["text", "label", "checkpoint"]
    try:
        rows = parquet.read_table(path, columns=columns).to_pylist()
    except (OSError, ValueError) as exc:
        raise DatasetError(f"{path} cannot be read as a split", source=str(path)) from exc
    for row in rows:
        benign_here = row["label"] == 0 and row["checkpoint"] == checkpoint
        if benign_here and len(row["text"]) >= _LEAST_CHARS:
            yield row["text"]


def _from_some_line(text: str, rng: random.Random) -> str:
    """Begin at a random line of the first half, now and then at the very start."""
    if rng.random() < 0.3:
        return text
    at = text.find("\n", rng.randrange(max(1, len(text) // 2)))
    return text if at < 0 else text[at + 1 :]


def _cut(text: str, tokens: int, count: CountTokens) -> str:
    """Shorten a text to at most `tokens` tokens, at a line where there is one."""
    text = text[: tokens * _CHARS_PER_TOKEN]
    for _ in range(12):
        found = count(text)
        if found <= tokens:
            return text
        keep = int(len(text) * min(0.98, tokens / found))
        line = text.rfind("\n", int(keep * 0.95), keep)
        text = text[: keep if line < 0 else line]
    return text
