"""From normalized text to model inputs that no text can forge.

A tokenizer.json and a text enter, windows of token ids leave. Inputs are put together by hand:
`[CLS] text [SEP]`, or `[CLS] checkpoint [SEP] text [SEP]`, with whatever special tokens the
tokenizer's own template names; words such as "[SEP]" inside a text are ordinary text. Training and
serving share this module; `TOKENIZE_VERSION` changes whenever its output does. It knows nothing of
weights or thresholds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from pangolin_guard.errors import InputError, ModelFilesError, ModelFormatError
from pangolin_guard.text.windows import TokenWindow, plan_windows
from pangolin_guard.types import Checkpoint

TOKENIZE_VERSION = 1
"""Recorded in every model folder; a folder made with another version is refused."""

_CHUNK_CHARS = 16_384  # longer texts are encoded in chunks, so that memory and time stay linear
_WORD_CHARS = 48  # a word that the tokenizer gives up on is read in slices of this length
_KNOWN_LIMIT = 65_536  # characters whose presence in the vocabulary is remembered
_PAD_NAMES = ("[PAD]", "<pad>", "<|padding|>", "<|endoftext|>")
_UNK_NAMES = ("[UNK]", "<unk>")
_BRACKETS = (("[CLS]", "[SEP]"), ("<s>", "</s>"), ("<cls>", "<sep>"))

IntArray = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class _Frame:
    """The special tokens around one or two sequences."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    second_type: int


@dataclass(frozen=True, slots=True)
class _Encoded:
    """Token ids of a text and the characters that each covers, shapes (T,) and (T, 2)."""

    ids: IntArray
    spans: IntArray


class TextTokenizer:
    """A verified tokenizer that cuts texts into complete model inputs; safe to share by threads."""

    def __init__(self, content: bytes, *, max_tokens: int = 256, overlap: int = 64) -> None:
        """Read the content of a tokenizer.json.

        Args:
            content: The file's bytes. Truncation and padding set in it are switched off.
            max_tokens: Length of a whole model input, special tokens and checkpoint included.
            overlap: Text tokens that neighboring windows share.

        Raises:
            ModelFormatError: If the tokenizer cannot be read, or has no tokens to frame a text.
            InputError: If a window of `max_tokens` has no room for more than `overlap` tokens.
        """
        self._tokenizer = _load(content)
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.max_tokens = max_tokens
        self.overlap = overlap
        self.vocab_size: int = self._tokenizer.get_vocab_size(with_added_tokens=True)
        self._single, self._pair = _read_frames(self._tokenizer)
        self.pad_id = self._find_pad()
        self.unk_id = self._find_unk()
        self._special = _special_ids(self._tokenizer).difference({self.unk_id})
        self._known: dict[str, bool] = {}
        self._segments: dict[Checkpoint | None, tuple[int, ...]] = {None: ()}
        for point in Checkpoint:
            self._segments[point] = tuple(self._encode(point.segment).ids.tolist())
        self._check_room()

    @classmethod
    def from_file(
        cls, path: Path | str, *, max_tokens: int = 256, overlap: int = 64
    ) -> TextTokenizer:
        """Read a tokenizer.json file; see the constructor for the arguments.

        Raises:
            ModelFilesError: If the file is missing or cannot be read.
            ModelFormatError: If it is no tokenizer that this version understands.
        """
        try:
            content = Path(path).read_bytes()
        except OSError as exc:
            raise ModelFilesError(
                f"cannot read the tokenizer {path}: {exc.strerror or exc}. "
                "Restore the file, or download the model again.",
                path,
            ) from exc
        return cls(content, max_tokens=max_tokens, overlap=overlap)

    def windows(self, text: str, checkpoint: Checkpoint | None = None) -> list[TokenWindow]:
        """Cut a text into complete model inputs that together hold every one of its tokens.

        Args:
            text: A normalized text (see `text.normalize`) of any length.
            checkpoint: Where the text was taken; its name becomes the first segment. None leaves
                the segment out.

        Returns:
            Windows in order of the text; none for a text without tokens. Nothing is truncated.
        """
        return self.windows_at(text, (checkpoint,))[0]

    def windows_at(
        self, text: str, checkpoints: Sequence[Checkpoint | None]
    ) -> list[list[TokenWindow]]:
        """Cut a text as `windows` does for each of several checkpoints, reading it once."""
        encoded = self._encode(text)
        return [
            [
                self._assemble(encoded, first, last, point)
                for first, last in plan_windows(
                    len(encoded.ids), self.capacity(point), self.overlap
                )
            ]
            for point in checkpoints
        ]

    def n_tokens(self, text: str) -> int:
        """Return how many tokens a normalized text has, special tokens and segment left out."""
        return len(self._encode(text).ids)

    def capacity(self, checkpoint: Checkpoint | None = None) -> int:
        """Return how many text tokens one window at this checkpoint holds."""
        return self.max_tokens - self._frame_size(checkpoint)

    def _frame_size(self, checkpoint: Checkpoint | None) -> int:
        frame = self._single if checkpoint is None else self._pair
        special = len(frame.before) + len(frame.between) + len(frame.after)
        return special + len(self._segments[checkpoint])

    def _check_room(self) -> None:
        largest = max(self._frame_size(point) for point in self._segments)
        if not 0 <= self.overlap < self.max_tokens - largest:
            raise InputError(
                f"windows of {self.max_tokens} tokens with an overlap of {self.overlap} leave no "
                f"room for text: special tokens and checkpoint take up to {largest}. "
                "Raise max_tokens or lower overlap."
            )

    def vocabulary_sha256(self) -> str:
        """Return a hash of the vocabulary alone: two files of one tokenizer may differ in layout."""
        words = sorted(self._tokenizer.get_vocab(with_added_tokens=True).items())
        return hashlib.sha256(json.dumps(words).encode()).hexdigest()

    def _find_pad(self) -> int:
        for name in _PAD_NAMES:
            pad = self._tokenizer.token_to_id(name)
            if pad is not None:
                return int(pad)
        return 0

    def _find_unk(self) -> int | None:
        own = getattr(self._tokenizer.model, "unk_token", None)
        for name in _UNK_NAMES if own is None else (own,):
            unk = self._tokenizer.token_to_id(name)
            if unk is not None:
                return int(unk)
        return None

    def _assemble(
        self, encoded: _Encoded, first: int, last: int, checkpoint: Checkpoint | None
    ) -> TokenWindow:
        body = encoded.ids[first:last]
        if checkpoint is None:
            head, tail, second_type = self._single.before, self._single.after, 0
        else:
            frame = self._pair
            head = frame.before + self._segments[checkpoint] + frame.between
            tail, second_type = frame.after, frame.second_type
        ids = np.concatenate((np.array(head, np.int32), body, np.array(tail, np.int32)))
        type_ids = np.full(len(ids), second_type, np.int32)
        type_ids[: len(head)] = 0
        start, end = int(encoded.spans[first, 0]), int(encoded.spans[last - 1, 1])
        return TokenWindow(ids, type_ids, start, end, first, last)

    def _encode(self, text: str) -> _Encoded:
        """Encode a text of any length; no id of a special token but [UNK] is in the result."""
        parts = [self._encode_chunk(text, start, end) for start, end in _chunks(text)]
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return _Encoded(np.empty(0, np.int32), np.empty((0, 2), np.int32))
        return _Encoded(
            np.concatenate([part.ids for part in parts]),
            np.concatenate([part.spans for part in parts]),
        )

    def _encode_chunk(self, text: str, start: int, end: int) -> _Encoded:
        encoding = self._tokenizer.encode(text[start:end], add_special_tokens=False)
        numbers = encoding.ids
        ids = np.array(numbers, np.int32)
        spans = np.array(encoding.offsets, np.int32).reshape(-1, 2) + np.int32(start)
        doubtful = np.zeros(len(ids), np.bool_)
        if not self._special.isdisjoint(numbers):
            doubtful = np.isin(ids, np.array(sorted(self._special), np.int32))
        if self.unk_id is not None:
            doubtful |= (ids == self.unk_id) & (spans[:, 1] - spans[:, 0] > 1)
        if not doubtful.any():
            return _Encoded(ids, spans)
        return self._resolve(text, _Encoded(ids, spans), np.flatnonzero(doubtful))

    def _resolve(self, text: str, encoded: _Encoded, doubtful: NDArray[np.intp]) -> _Encoded:
        """Read again, in smaller pieces, the words that came out unknown or as special tokens.

        A WordPiece tokenizer turns a word that is too long, or that holds one character it does
        not know, into a single [UNK]; words glued together could hide in it.
        """
        ids: list[IntArray] = []
        spans: list[IntArray] = []
        done = 0
        for index in doubtful:
            start, end = encoded.spans[index].tolist()
            again = self._encode_pieces(text, list(self._pieces(text, start, end)))
            ids += (encoded.ids[done:index], again.ids)
            spans += (encoded.spans[done:index], again.spans)
            done = index + 1
        ids.append(encoded.ids[done:])
        spans.append(encoded.spans[done:])
        return _Encoded(np.concatenate(ids), np.concatenate(spans))

    def _pieces(self, text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Cut a range where known and unknown characters meet, and after `_WORD_CHARS`."""
        at = start
        for index in range(start + 1, end):
            turns = self._knows(text[index]) != self._knows(text[index - 1])
            if turns or index - at >= _WORD_CHARS:
                yield at, index
                at = index
        yield at, end

    def _knows(self, char: str) -> bool:
        known = self._known.get(char)
        if known is None:
            ids = self._tokenizer.encode(char, add_special_tokens=False).ids
            known = self.unk_id not in ids
            if len(self._known) >= _KNOWN_LIMIT:
                self._known.clear()
            self._known[char] = known
        return known

    def _encode_pieces(self, text: str, pieces: list[tuple[int, int]]) -> _Encoded:
        """Encode ranges as words of their own; what stays doubtful is read by characters."""
        ids: list[int] = []
        spans: list[tuple[int, int]] = []
        for start, end in pieces:
            if self.unk_id is not None and not self._knows(text[start]):
                ids.append(self.unk_id)
                spans.append((start, end))
                continue
            encoding = self._tokenizer.encode(text[start:end], add_special_tokens=False)
            forged = self._special.intersection(encoding.ids)
            if end - start > 1 and (forged or self.unk_id in encoding.ids):
                single = self._encode_pieces(text, [(at, at + 1) for at in range(start, end)])
                ids += single.ids.tolist()
                spans += [(int(first), int(last)) for first, last in single.spans]
                continue
            for number, (first, last) in zip(encoding.ids, encoding.offsets, strict=True):
                kept = self.unk_id if number in self._special else number
                if kept is not None:
                    ids.append(kept)
                    spans.append((start + first, start + last))
        return _Encoded(np.array(ids, np.int32), np.array(spans, np.int32).reshape(-1, 2))


def _load(content: bytes) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_str(content.decode("utf-8"))
    except Exception as exc:  # the library raises bare Exception
        raise ModelFormatError(
            f"tokenizer.json cannot be read: {exc}. It must be a file of the `tokenizers` library."
        ) from exc
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def _special_ids(tokenizer: Tokenizer) -> set[int]:
    added = tokenizer.get_added_tokens_decoder()
    return {int(number) for number, token in added.items() if token.special}


def _read_frames(tokenizer: Tokenizer) -> tuple[_Frame, _Frame]:
    """Learn from the tokenizer's own template what stands around one text and around two."""
    if tokenizer.post_processor is None:
        return _default_frames(tokenizer)
    single = tokenizer.encode("a")
    pair = tokenizer.encode("a", "a")
    frames = (
        _Frame(*_split(single.ids, single.sequence_ids), second_type=0),
        _Frame(*_split(pair.ids, pair.sequence_ids), second_type=_second_type(pair)),
    )
    if not (frames[0].before and frames[0].after and frames[1].between):
        raise ModelFormatError(
            "the tokenizer's template puts no special tokens around a text and between two; "
            "a classifier's tokenizer needs them, as in [CLS] a [SEP] b [SEP]"
        )
    return frames


def _default_frames(tokenizer: Tokenizer) -> tuple[_Frame, _Frame]:
    for names in _BRACKETS:
        first, last = (tokenizer.token_to_id(name) for name in names)
        if first is not None and last is not None:
            frame = _Frame((first,), (last,), (last,), 0)
            return _Frame((first,), (), (last,), 0), frame
    raise ModelFormatError("the tokenizer has no template and no [CLS] and [SEP] tokens")


def _split(
    ids: list[int], sequence_ids: list[int | None]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return the ids before the first sequence, between the two, and after the last."""
    inside = [at for at, sequence in enumerate(sequence_ids) if sequence is not None]
    if not inside:
        raise ModelFormatError("the tokenizer finds no token in the letter 'a'")
    between = tuple(ids[at] for at in range(inside[0], inside[-1]) if sequence_ids[at] is None)
    return tuple(ids[: inside[0]]), between, tuple(ids[inside[-1] + 1 :])


def _second_type(pair: Encoding) -> int:
    types = [t for t, s in zip(pair.type_ids, pair.sequence_ids, strict=True) if s == 1]
    return int(types[0])


def _chunks(text: str) -> Iterator[tuple[int, int]]:
    """Cut a text before whitespace where there is any, at most `_CHUNK_CHARS` at a time."""
    start = 0
    while len(text) - start > _CHUNK_CHARS:
        end = start + _CHUNK_CHARS
        half = start + _CHUNK_CHARS // 2
        cut = max(text.rfind(" ", half, end), text.rfind("\n", half, end))
        end = cut if cut > start else end
        yield start, end
        start = end
    if start < len(text):
        yield start, len(text)
