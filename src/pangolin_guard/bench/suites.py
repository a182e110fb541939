"""The public benchmark suites: what they are, where they come from, how they are read.

Enters: a folder of JSON Lines files (plain, .gz or .xz). Leaves: `Suite`s of rows. Knows nothing
of models. The suites themselves are not part of this package: they are other people's data, and
nothing here may be trained on, or used to choose a threshold.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import lzma
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pangolin_guard.errors import DatasetError, InputError
from pangolin_guard.types import Checkpoint

SUITES_ENV = "PANGOLIN_BENCH"
DEFAULT_FOLDERS = (Path("shared/data/bench"), Path("../shared/data/bench"))
SUFFIXES = (".jsonl.xz", ".jsonl.gz", ".jsonl")
STORED_ANSWERS = {"claude_3_7": "Claude 3.7", "gemini_flash_2_0": "Gemini Flash 2.0"}


@dataclass(frozen=True, slots=True)
class SuiteSpec:
    """Facts about a suite: size, licence, and where its rows were published."""

    name: str
    title: str
    rows: int
    unsafe: int
    origin: str
    license: str
    sha256: str
    checkpoint: Checkpoint = Checkpoint.USER_INPUT
    document_sources: str | None = None

    def origin_of(self, source: str) -> Checkpoint:
        """Return the checkpoint that a row of this source would pass in an application."""
        if self.document_sources is not None and source.startswith(self.document_sources):
            return Checkpoint.DOCUMENT
        return self.checkpoint


SUITES = (
    SuiteSpec(
        name="pangolin144",
        title="PangolinGuard's 144 rows",
        rows=144,
        unsafe=48,
        origin="github.com/leolee99/PIGuard, datasets/valid.json (the same file is datasets/"
        "eval.json of github.com/dcarpintero/pangolin-guard; the answers of Claude 3.7 and Gemini "
        "Flash 2.0 are its evals/*.jsonl, in the order of the rows)",
        license="MIT (PIGuard), Apache-2.0 (pangolin-guard)",
        sha256="c5ea450cf047aa0c5ba9e7104e86116b74da3c4f222cd862736e4d5fbd3d8e9c",
        document_sources="BIPIA",
    ),
    SuiteSpec(
        name="notinject",
        title="NotInject",
        rows=339,
        unsafe=0,
        origin="github.com/leolee99/PIGuard, datasets/NotInject_{one,two,three}.json",
        license="MIT",
        sha256="6dbd66577a5da7ea761432f25401c2b62c8252bc9523dcd41b55a6828463eba2",
    ),
    SuiteSpec(
        name="bipia_attacks",
        title="BIPIA attacks alone",
        rows=125,
        unsafe=125,
        origin="github.com/leolee99/PIGuard, datasets/BIPIA_{text,code}.json "
        "(the test attacks of github.com/microsoft/BIPIA)",
        license="MIT",
        sha256="55644d96813f55d0940ad5a45967edbe6b9f54373234e7011064c04e1d6b6304",
        checkpoint=Checkpoint.DOCUMENT,
    ),
    SuiteSpec(
        name="wildguard_benign",
        title="WildGuard benign",
        rows=971,
        unsafe=0,
        origin="github.com/leolee99/PIGuard, datasets/wildguard.json (from WildGuardMix)",
        license="ODC-BY",
        sha256="af9598dcc2f859fe644525f80d5ffe00af241a97e97521a1c545391d930618a1",
    ),
    SuiteSpec(
        name="deepset_test",
        title="deepset test",
        rows=116,
        unsafe=60,
        origin="huggingface.co/datasets/deepset/prompt-injections, test split",
        license="Apache-2.0",
        sha256="1f625dfbf7b39c0cdf30c0f34ef6b564e1766f8f5e194487d86cf240e1aabc65",
    ),
    SuiteSpec(
        name="bipia_context_test",
        title="BIPIA contexts",
        rows=957,
        unsafe=740,
        origin="github.com/microsoft/BIPIA, benchmark/{email,table,code} test contexts, clean and "
        "with one of its test attacks inserted",
        license="MIT, contexts CC-BY-SA",
        sha256="1d5b1a4b2e6f18511969169064fae1079f4e344452ff2c205fcea65c8ab2d1c3",
        checkpoint=Checkpoint.DOCUMENT,
    ),
)


@dataclass(frozen=True, slots=True)
class SuiteRow:
    """One text with its label (1 unsafe) and the answers that other models once gave."""

    text: str
    label: int
    source: str
    checkpoint: Checkpoint | None
    answers: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite that was read, with the hash of the file it came from."""

    spec: SuiteSpec
    rows: tuple[SuiteRow, ...]
    path: Path
    sha256: str

    @property
    def as_published(self) -> bool:
        """Whether the file is byte for byte the one that this package's figures are from."""
        return self.sha256 == self.spec.sha256


@dataclass(frozen=True, slots=True)
class SuiteFolder:
    """The suites of a folder, in the order of `SUITES`, and those that are not there."""

    folder: Path | None
    suites: tuple[Suite, ...]
    missing: tuple[SuiteSpec, ...]


def find_folder(option: Path | str | None = None) -> Path | None:
    """Return the folder of the suites: the option, `PANGOLIN_BENCH`, or a usual place.

    Returns:
        The folder, or None when nothing was named and no usual place has one.

    Raises:
        InputError: If a named folder does not exist.
    """
    for value, said_by in ((option, "--suites"), (os.environ.get(SUITES_ENV), SUITES_ENV)):
        if value:
            folder = Path(value)
            if not folder.is_dir():
                raise InputError(f"{said_by} names '{folder}', which is not a folder.")
            return folder
    return next((folder for folder in DEFAULT_FOLDERS if folder.is_dir()), None)


def load_suites(folder: Path | None) -> SuiteFolder:
    """Read every known suite of a folder; suites without a file are listed as missing.

    Raises:
        DatasetError: If a file that is there cannot be read, or a row of it is bad.
    """
    suites, missing = [], []
    for spec in SUITES:
        path = None if folder is None else _file_of(folder, spec)
        if path is None:
            missing.append(spec)
        else:
            suites.append(load_suite(spec, path))
    return SuiteFolder(folder, tuple(suites), tuple(missing))


def load_suite(spec: SuiteSpec, path: Path) -> Suite:
    """Read one suite.

    Raises:
        DatasetError: If the file cannot be read or holds no row, or a row is bad.
    """
    try:
        raw = path.read_bytes()
    except OSError as exc:
        raise DatasetError(f"{path} cannot be read: {exc.strerror}", source=spec.name) from exc
    rows = tuple(_row(spec, number, fields) for number, fields in _records(spec, path, raw))
    if not rows:
        raise DatasetError(f"{path} holds no row", source=spec.name)
    return Suite(spec, rows, path, hashlib.sha256(raw).hexdigest())


def missing_message(spec: SuiteSpec) -> str:
    """Say in one line what file is missing and where its rows were published."""
    return (
        f"{spec.title}: no {spec.name}.jsonl[.xz|.gz] found ({spec.rows} rows; {spec.license}). "
        f"It comes from {spec.origin}. Expected fields: text, label (0 or 1), source."
    )


def _file_of(folder: Path, spec: SuiteSpec) -> Path | None:
    paths = (folder / f"{spec.name}{suffix}" for suffix in SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


def _records(spec: SuiteSpec, path: Path, raw: bytes) -> Iterator[tuple[int, Mapping[str, object]]]:
    openers = {".xz": lzma.decompress, ".gz": gzip.decompress}
    try:
        data = openers.get(path.suffix, bytes)(raw)
        text = data.decode("utf-8")
    except (lzma.LZMAError, OSError, EOFError, UnicodeDecodeError) as exc:
        raise DatasetError(f"{path} is damaged or not UTF-8", source=spec.name) from exc
    for number, line in enumerate(io.StringIO(text), start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except json.JSONDecodeError as exc:
            raise DatasetError("not JSON", source=spec.name, row=number) from exc
        if not isinstance(fields, dict):
            raise DatasetError("not a JSON object", source=spec.name, row=number)
        yield number, fields


def _row(spec: SuiteSpec, number: int, fields: Mapping[str, object]) -> SuiteRow:
    text, source = fields.get("text"), fields.get("source", spec.name)
    for name, value in (("text", text), ("source", source)):
        if not isinstance(value, str):
            kind = type(value).__name__
            raise DatasetError(
                f"expected text, got {kind}", source=spec.name, row=number, field=name
            )
    source = str(source)
    answers = {
        name: _bit(spec, number, field=name, value=fields[name])
        for name in STORED_ANSWERS
        if fields.get(name) is not None
    }
    label = _bit(spec, number, field="label", value=fields.get("label"))
    checkpoint = _checkpoint(spec, number, fields.get("checkpoint")) or spec.origin_of(source)
    return SuiteRow(str(text), label, source, checkpoint, answers)


def _bit(spec: SuiteSpec, number: int, *, field: str, value: object) -> int:
    if isinstance(value, int) and value in (0, 1):
        return int(value)
    raise DatasetError(
        f"expected 0 or 1, got {value!r:.40}", source=spec.name, row=number, field=field
    )


def _checkpoint(spec: SuiteSpec, number: int, value: object) -> Checkpoint | None:
    if value is None:
        return None
    try:
        return Checkpoint(str(value))
    except ValueError as exc:
        known = ", ".join(Checkpoint)
        raise DatasetError(
            f"unknown checkpoint {value!r:.40}; known are {known}",
            source=spec.name,
            row=number,
            field="checkpoint",
        ) from exc
