"""Where a scan stands: a small JSON file beside the output, replaced after every batch.

It names the inputs, the settings, the place in the inputs and the length of the outputs up to
that place. Whatever the outputs hold beyond it belongs to a batch that was never finished.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pangolin_guard.errors import InputError
from pangolin_guard.scan.records import InputFile, Position

STATE_FORMAT = 1
_HEAD_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows so far; `unsafe` includes the incomplete ones, `bad` rows got no verdict."""

    safe: int = 0
    unsafe: int = 0
    incomplete: int = 0
    bad: int = 0

    @property
    def rows(self) -> int:
        """All rows, with and without a verdict."""
        return self.safe + self.unsafe + self.bad


@dataclass(frozen=True, slots=True)
class ScanState:
    """A place that a scan can be taken up at again."""

    job: dict[str, object]
    position: Position = field(default_factory=Position)
    output_bytes: int = 0
    bad_bytes: int = 0
    counts: Counts = field(default_factory=Counts)
    renamed: dict[str, str] = field(default_factory=dict)
    complete: bool = False


def describe_job(inputs: Iterable[InputFile], settings: dict[str, object]) -> dict[str, object]:
    """Return what must be the same for a scan to go on: the inputs' identity, the settings."""
    return {"inputs": [_identity(file) for file in inputs], **settings}


def _identity(file: InputFile) -> dict[str, object]:
    if file.path is None:
        return {"name": file.name}
    with file.path.open("rb") as stream:
        head = hashlib.sha256(stream.read(_HEAD_BYTES)).hexdigest()
    stat = file.path.stat()
    return {
        "name": file.name,
        "format": file.format.value,
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "head_sha256": head,
    }


def save_state(path: Path, state: ScanState) -> None:
    """Replace the state file; after a crash either the old or the new one is there, whole."""
    content = json.dumps({"format": STATE_FORMAT, **asdict(state)}, indent=1) + "\n"
    temporary = path.with_name(path.name + ".new")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make names in a folder survive a power cut, where the system can do that."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load_state(path: Path, job: dict[str, object]) -> ScanState:
    """Read a state file and check that it belongs to this job.

    Raises:
        InputError: If it cannot be understood, or inputs or settings are not the same.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = content.pop("format")
        content["position"] = Position(**content["position"])
        content["counts"] = Counts(**content["counts"])
        state = ScanState(**content)
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise InputError(f"{path} is not the state of a scan; start again, --overwrite") from exc
    if found != STATE_FORMAT:
        raise InputError(f"{path} has format {found}, this version reads {STATE_FORMAT}")
    _check_job(state.job, json.loads(json.dumps(job)))
    return state


def _check_job(old: dict[str, object], new: dict[str, object]) -> None:
    different = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    if not different:
        return
    if "inputs" in different:
        raise InputError(
            "The input files are not the ones that this scan began with (name, size, time or "
            "content differ). Start again with --overwrite."
        )
    was = ", ".join(f"{key} was {old.get(key)!r}, is {new.get(key)!r}" for key in different)
    raise InputError(f"The scan began with other settings: {was}. Give the same, or --overwrite.")
