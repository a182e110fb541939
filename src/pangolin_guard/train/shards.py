"""A tokenized split as one packed file: tokenized once, trained on many times and elsewhere.

Enters: `TokenRows`, and a teacher's probabilities of its windows. Leaves: `NAME.tokens.npz`, plain
arrays without any text, packed with LZMA, and `NAME.teacher.npy` beside it. A GPU's time is not
spent on tokenizing, and a machine that trains needs no Parquet file. Never pickle.
"""

from __future__ import annotations

import io
import json
import lzma
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pangolin_guard.errors import DatasetError
from pangolin_guard.train.inputs import FloatArray, IntArray, RowForm, Split, TokenRows, WindowStore
from pangolin_guard.types import Checkpoint

FORMAT = 1
_SMALL = np.iinfo(np.uint16).max
_ORIGINS: tuple[Checkpoint | None, ...] = (None, *Checkpoint)
_ROWS = ("own", "blind", "labels", "origins", "weights", "row_p", "fixed", "counts")
_ARRAYS = ("ids", "lengths", "first", *_ROWS)


def tokens_path(folder: Path | str, name: str) -> Path:
    """Return where the packed tokens of a split lie."""
    return Path(folder) / f"{name}.tokens.npz"


def teacher_path(folder: Path | str, name: str) -> Path:
    """Return where a teacher's probabilities of a split's windows lie."""
    return Path(folder) / f"{name}.teacher.npy"


def save_tokens(rows: TokenRows, path: Path, *, key: Mapping[str, Any]) -> None:
    """Write a tokenized split.

    Args:
        rows: The split.
        path: The file to write.
        key: What the tokens depend on, such as the tokenizer and the size of a window.
    """
    ids, ends, first = rows.store.arrays()
    small = not len(ids) or int(ids.max()) <= _SMALL
    arrays: dict[str, npt.NDArray[Any]] = {
        "ids": ids.astype(np.uint16) if small else ids,
        "lengths": np.diff(ends).astype(np.int32),
        "first": first.astype(np.int32),
        "own": _forms(rows.own),
        "blind": _forms(rows.blind),
        "labels": rows.split.labels.astype(np.uint8),
        "origins": np.array([_ORIGINS.index(at) for at in rows.split.checkpoints], dtype=np.uint8),
        "weights": rows.split.weights,
        "row_p": rows.split.teacher_p,
        "fixed": rows.split.fixed,
        "counts": np.array([rows.cut, rows.empty], dtype=np.int64),
        "key": np.frombuffer(_key(key), dtype=np.uint8),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_LZMA) as file:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            file.writestr(f"{name}.npy", buffer.getvalue())
    partial.replace(path)


def load_tokens(path: Path, *, key: Mapping[str, Any] | None = None) -> TokenRows:
    """Read what `save_tokens` wrote, with the teacher's probabilities if they lie beside it.

    Args:
        path: The file.
        key: What the tokens must have been made with; other entries are not looked at.

    Raises:
        DatasetError: If the file cannot be read, or was made with another tokenizer or window size.
    """
    check_key(path, key or {})
    found = _read(path, _ARRAYS)
    name = path.name.removesuffix(".tokens.npz")
    return _rows(found, _teacher(teacher_path(path.parent, name), len(found["lengths"])))


def check_key(path: Path, key: Mapping[str, Any]) -> None:
    """Compare what packed tokens were made with.

    Raises:
        DatasetError: If an entry differs, or the file cannot be read.
    """
    made = json.loads(_read(path, ("key",))["key"].tobytes())
    for name, wanted in {**key, "format": FORMAT}.items():
        if made.get(name) != wanted:
            raise DatasetError(
                f"{path} was tokenized with {name} {made.get(name)}, not {wanted}. Make it again: "
                "pangolin data tokenize"
            )


def _read(path: Path, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    try:
        with path.open("rb") as opened, zipfile.ZipFile(opened) as file:
            return {name: _array(file.read(f"{name}.npy")) for name in names}
    except (OSError, EOFError, KeyError, ValueError, lzma.LZMAError, zipfile.BadZipFile) as exc:
        raise DatasetError(f"{path} holds no packed tokens: {type(exc).__name__}") from exc


def _array(content: bytes) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    return array


def _rows(found: Mapping[str, npt.NDArray[Any]], teacher: FloatArray | None) -> TokenRows:
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(found["lengths"], dtype=np.int64)])
    first = found["first"].astype(np.int64)
    split = Split(
        texts=[],
        labels=found["labels"].astype(np.int64),
        checkpoints=[_ORIGINS[at] for at in found["origins"]],
        payloads=[],
        weights=found["weights"],
        teacher_p=found["row_p"],
        fixed=found["fixed"],
    )
    cut, empty = found["counts"].tolist()
    own, blind = (_row_forms(found[name]) for name in ("own", "blind"))
    store = WindowStore.packed(found["ids"].astype(np.int32), ends, first)
    return TokenRows(split, store, own, blind, cut, empty, teacher)


def save_teacher(p: FloatArray, path: Path) -> None:
    """Write a teacher's P(unsafe) of every window, shape (W,), in half precision."""
    partial = path.with_name(f"{path.name}.part")
    with partial.open("wb") as file:
        np.save(file, p.astype(np.float16), allow_pickle=False)
    partial.replace(path)


def _teacher(path: Path, windows: int) -> FloatArray | None:
    if not path.is_file():
        return None
    try:
        p: FloatArray = np.load(path, allow_pickle=False).astype(np.float32)
    except (OSError, ValueError) as exc:
        raise DatasetError(f"{path} holds no probabilities: {type(exc).__name__}") from exc
    if p.shape != (windows,) or not np.nanmax(np.abs(p - 0.5), initial=0.0) <= 0.5:
        raise DatasetError(
            f"{path} must hold {windows} numbers in [0, 1], got shape {p.shape}. Make it again: "
            "pangolin data teach"
        )
    return p


def _forms(forms: Sequence[RowForm]) -> npt.NDArray[np.int32]:
    return np.array([(f.first, f.last, f.aimed) for f in forms], dtype=np.int32).reshape(-1, 3)


def _row_forms(values: IntArray) -> list[RowForm]:
    return [RowForm(first, last, bool(aimed)) for first, last, aimed in values.tolist()]


def _key(key: Mapping[str, Any]) -> bytes:
    return json.dumps({**key, "format": FORMAT}, sort_keys=True).encode()
