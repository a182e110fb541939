"""Rows that are, or nearly are, rows of a benchmark: found by signatures alone.

The package carries the signatures of the suites that `pangolin benchmark` runs, so that a data
set stays clean where the suites themselves are not at hand. A signature is a hash, a MinHash
and the number of words; it cannot be turned back into a text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from pangolin_guard.errors import DatasetError
from pangolin_guard.text.normalize import NORMALIZE_VERSION, normalize
from pangolin_guard.train import shingles
from pangolin_guard.train.neighbors import IntArray, best_matches
from pangolin_guard.train.readers import read_rows
from pangolin_guard.train.shingles import Sketch, UInt16Array, UInt64Array, sketch

PACKAGED = Path(__file__).parent / "signatures.npz"
GALLERY = Path(__file__).parent.parent / "gallery.json"
_PROBE = "One probe text, to see that hashes are still made the way they were."
_FORMAT = 1


@dataclass(frozen=True)
class Signatures:
    """R reference texts of several suites.

    `suites` names them, `suite` (R,) says which one each text is of; `keys`, `minhashes`,
    `lengths` and `anchors` (the hash of the first five words, 0 for shorter texts) tell the
    texts apart.
    """

    suites: tuple[str, ...]
    suite: IntArray
    keys: UInt64Array
    minhashes: UInt16Array
    lengths: IntArray
    anchors: UInt64Array
    _by_key: dict[int, int] = field(init=False, repr=False, compare=False)
    _by_anchor: dict[int, list[int]] = field(init=False, repr=False, compare=False)
    _known_anchors: UInt64Array = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Build the look-up tables."""
        by_key = {int(key): at for at, key in reversed(list(enumerate(self.keys)))}
        by_anchor: dict[int, list[int]] = {}
        for at, anchor in enumerate(self.anchors.tolist()):
            if self.lengths[at] >= shingles.ANCHOR_WORDS:
                by_anchor.setdefault(anchor, []).append(at)
        object.__setattr__(self, "_by_key", by_key)
        object.__setattr__(self, "_by_anchor", by_anchor)
        object.__setattr__(
            self, "_known_anchors", np.array(sorted(by_anchor), np.uint64).reshape(-1)
        )

    def __len__(self) -> int:
        """Return the number of reference texts."""
        return len(self.keys)

    def suite_of(self, reference: int) -> str:
        """Return the name of the suite that a reference text belongs to."""
        return self.suites[int(self.suite[reference])]

    def find_inside(self, text: Sketch) -> int | None:
        """Return a reference that the text equals or holds word by word, or None.

        References of fewer than five words count only where they are the whole text.
        """
        exact = self._by_key.get(text.key)
        if exact is not None or not len(self._known_anchors):
            return exact
        windows = shingles.window_hashes(text.words, shingles.ANCHOR_WORDS)
        at = np.searchsorted(self._known_anchors, windows)
        at[at == len(self._known_anchors)] = 0
        for start in np.flatnonzero(self._known_anchors[at] == windows).tolist():
            for reference in self._by_anchor[int(windows[start])]:
                run = text.words[start : start + int(self.lengths[reference])]
                if shingles.key_of(run) == int(self.keys[reference]):
                    return reference
        return None

    def find_near(self, minhashes: UInt16Array, threshold: float) -> tuple[IntArray, IntArray]:
        """Return the rows of (N, 128) sketches that resemble a reference, and which one."""
        return best_matches(minhashes, self.minhashes, threshold)


def make_signatures(suites: Mapping[str, Iterable[str]]) -> Signatures:
    """Return the signatures of named suites of texts; texts are normalized first."""
    names: list[str] = []
    suite: list[int] = []
    made: list[Sketch] = []
    for name, texts in suites.items():
        sketches = [sketch(normalize(text).text) for text in texts]
        suite += [len(names)] * len(sketches)
        names.append(name)
        made += sketches
    return Signatures(
        suites=tuple(names),
        suite=np.array(suite, np.int64),
        keys=np.array([one.key for one in made], np.uint64),
        minhashes=np.array([one.minhash for one in made], np.uint16).reshape(-1, shingles.NUM_PERM),
        lengths=np.array([len(one.words) for one in made], np.int64),
        anchors=np.array([_anchor(one) for one in made], np.uint64),
    )


def _anchor(one: Sketch) -> int:
    hashes = shingles.window_hashes(one.words[: shingles.ANCHOR_WORDS], shingles.ANCHOR_WORDS)
    return int(hashes[0]) if len(hashes) else 0


def merge(parts: Sequence[Signatures]) -> Signatures:
    """Return all references of several sets as one."""
    shift = 0
    suites: list[str] = []
    suite: list[IntArray] = []
    for part in parts:
        suites += part.suites
        suite.append(part.suite + shift)
        shift += len(part.suites)
    return Signatures(
        suites=tuple(suites),
        suite=np.concatenate(suite),
        keys=np.concatenate([part.keys for part in parts]),
        minhashes=np.concatenate([part.minhashes for part in parts]),
        lengths=np.concatenate([part.lengths for part in parts]),
        anchors=np.concatenate([part.anchors for part in parts]),
    )


def read_suites(folder: Path) -> dict[str, list[str]]:
    """Return the texts of every benchmark suite file (*.jsonl, also compressed) in a folder.

    Raises:
        DatasetError: If there is none, or a row has no text.
    """
    suites: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*.jsonl*")):
        name = path.name.partition(".")[0]
        suites[name] = []
        for number, row in read_rows(path):
            text = row.get("text") if isinstance(row, dict) else None
            if not isinstance(text, str):
                raise DatasetError("no text", source=name, row=number, field="text")
            suites[name].append(text)
    if not suites:
        raise DatasetError(f"no suite (*.jsonl, *.jsonl.xz …) in {folder}")
    return suites


def save_signatures(signatures: Signatures, path: Path) -> None:
    """Write signatures to one .npz file, with what is needed to see that they still hold."""
    header = {"format": _FORMAT, "suites": list(signatures.suites), **_versions()}
    np.savez_compressed(
        path,
        header=np.frombuffer(json.dumps(header, sort_keys=True).encode(), np.uint8),
        probe=sketch(_PROBE).minhash,
        suite=signatures.suite.astype(np.uint8),
        keys=signatures.keys,
        minhashes=signatures.minhashes,
        lengths=signatures.lengths.astype(np.uint32),
        anchors=signatures.anchors,
    )


def load_signatures(path: Path = PACKAGED) -> Signatures:
    """Read signatures, by default those that the package carries.

    Raises:
        DatasetError: If the file is missing or broken, or if texts are normalized or hashed
            otherwise now than when it was made.
    """
    remedy = "make it with: pangolin data signatures --bench DIR"
    if not path.is_file():
        raise DatasetError(
            f"the benchmark signatures {path} are missing; nothing is built without them, "
            f"as rows of the benchmarks could slip in. Reinstall pangolin-guard, or {remedy}"
        )
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            header = json.loads(file["header"].tobytes())
            arrays = {name: file[name] for name in file.files if name != "header"}
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as exc:
        raise DatasetError(f"the benchmark signatures {path} are broken; {remedy}") from exc
    current = {"format": _FORMAT, **_versions()}
    if any(header.get(name) != value for name, value in current.items()) or not np.array_equal(
        arrays["probe"], sketch(_PROBE).minhash
    ):
        raise DatasetError(
            f"the benchmark signatures {path} were made by another version of the text rules; "
            f"{remedy}"
        )
    return Signatures(
        suites=tuple(header["suites"]),
        suite=arrays["suite"].astype(np.int64),
        keys=arrays["keys"],
        minhashes=arrays["minhashes"],
        lengths=arrays["lengths"].astype(np.int64),
        anchors=arrays["anchors"],
    )


def gallery_signatures(path: Path = GALLERY) -> Signatures | None:
    """Return the signatures of the package's demo texts, or None where there is no gallery."""
    if not path.is_file():
        return None
    rows = json.loads(path.read_text(encoding="utf-8"))
    return make_signatures({"gallery": [row["text"] for row in rows]})


def _versions() -> dict[str, int]:
    return {"normalize": NORMALIZE_VERSION, "shingles": shingles.SHINGLES_VERSION}
