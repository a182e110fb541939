"""One scan from first to last batch: read, judge, write, remember the place.

Files and a guard enter; output files and counts leave. A row without a verdict goes to the side
file with its reason and the scan goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Protocol

from pangolin_guard._version import __version__
from pangolin_guard.errors import InputError
from pangolin_guard.scan.lines import DAMAGE, ByteSource
from pangolin_guard.scan.parquet import column_names
from pangolin_guard.scan.readers import ReadSettings, read_records
from pangolin_guard.scan.records import STDIN, Format, InputFile, Position, Record
from pangolin_guard.scan.rows import Job, bad_row, encode, output_row, prepare
from pangolin_guard.scan.sink import FileSink, NoSink, Sink, StreamSink
from pangolin_guard.scan.state import Counts, ScanState, describe_job, load_state, save_state
from pangolin_guard.scan.tables import read_header
from pangolin_guard.types import Checkpoint, Reason, Verdict

_BATCH_BYTES = 4_000_000


class Judge(Protocol):
    """What a scan needs of a guard."""

    def check_many(
        self, texts: Sequence[str], *, checkpoint: Sequence[Checkpoint | None]
    ) -> list[Verdict]:
        """Return one verdict per text, in order."""


class Watcher:
    """Hears how a scan goes; override what is of interest."""

    def progress(self, bytes_done: int, counts: Counts) -> None:
        """Hear after every batch how many bytes of the inputs are read, and the counts."""

    def bad(self, file: str, row: int, reason: str) -> None:
        """Hear of a row without a verdict; the reason holds no text of it."""


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """What changes the output; a resumed scan must have the same.

    `checkpoint` is for rows that name none of their own; `judge` says in plain values what model
    it is and with which settings.
    """

    judge: dict[str, object] = field(default_factory=dict)
    read: ReadSettings = field(default_factory=ReadSettings)
    checkpoint: Checkpoint | None = None
    omit_text: bool = False
    with_source: bool = False
    batch_rows: int = 256

    def __post_init__(self) -> None:
        """Refuse batches without rows."""
        if self.batch_rows < 1:
            raise InputError(f"batch_rows must be at least 1, got {self.batch_rows}")


@dataclass(frozen=True, slots=True)
class ScanTarget:
    """Where a scan writes: `output` may be "-"; bad rows and state lie beside it."""

    output: str
    bad: Path | None = None
    resume: bool = False
    overwrite: bool = False

    @property
    def bad_path(self) -> Path | None:
        """The side file of the bad rows; None for standard output without one of its own."""
        return self.bad or self._beside(".bad.jsonl")

    @property
    def state_path(self) -> Path | None:
        """The file that remembers the place; None for standard output."""
        return self._beside(".state.json")

    def _beside(self, ending: str) -> Path | None:
        if self.output == STDIN:
            return None
        path = Path(self.output)
        stem = path.name.removesuffix(".gz").removesuffix(".jsonl")
        return path.with_name(stem + ending)


def scan_files(
    judge: Judge,
    inputs: Sequence[InputFile],
    target: ScanTarget,
    *,
    options: ScanOptions | None = None,
    watcher: Watcher | None = None,
) -> ScanState:
    """Judge every row of the inputs and write one output row each.

    After each batch the output, the bad rows and the state are on disk, in this order, so that a
    scan killed at any moment resumes at the last whole batch.

    Args:
        judge: A guard.
        inputs: What to read, in this order.
        target: Output and what to do where it exists.
        options: Text column, checkpoint and the like.
        watcher: Hears of progress and bad rows.

    Returns:
        The final state, with the counts.

    Raises:
        InputError: If an input or the target cannot be used. Bad rows raise nothing.
    """
    options = options or ScanOptions()
    _check_target(inputs, target)
    _check_columns(inputs, options.read)
    job = describe_job(inputs, _settings(options))
    state = _begin(target, job)
    if state.complete:
        return state
    run = _Run(judge, inputs, options=options, watcher=watcher or Watcher())
    with _Outputs(target, state) as outputs:
        return run.go(state, outputs)


def _settings(options: ScanOptions) -> dict[str, object]:
    own = asdict(options)
    return {"version": __version__, **own.pop("judge"), **own.pop("read"), **own}


def _check_target(inputs: Sequence[InputFile], target: ScanTarget) -> None:
    if not inputs:
        raise InputError("There is no input file")
    if target.output == STDIN:
        if target.resume:
            raise InputError("A scan to standard output cannot be resumed; give -o a file")
        return
    path = Path(target.output)
    if not path.parent.is_dir():
        raise InputError(f"The folder {path.parent} does not exist; create it first")
    if path.is_dir():
        raise InputError(f"{path} is a folder; give -o a file")
    used = {target.bad_path, target.state_path, path}
    for file in inputs:
        if file.path is None:
            if target.resume:
                raise InputError("A scan of standard input cannot be resumed")
        elif any(p and p.exists() and p.samefile(file.path) for p in used):
            raise InputError(f"{file.name} is input and output at once; give -o another name")


def _check_columns(inputs: Sequence[InputFile], read: ReadSettings) -> None:
    """Find a misnamed column before the first batch, where the format tells."""
    for file in inputs:
        if file.whole or file.path is None:
            continue
        if file.format in (Format.CSV, Format.TSV):
            names = _header(file, read.max_row_bytes)
        elif file.format is Format.PARQUET:
            names = column_names(file)
        else:
            continue
        if read.text_column not in names:
            raise InputError(
                f"{file.name} has no column '{read.text_column}' (columns: {', '.join(names)}); "
                "name it with --text-column"
            )


def _header(file: InputFile, limit: int) -> list[str]:
    try:
        with ByteSource(file) as source:
            return read_header(source, file, limit)[0]
    except DAMAGE as exc:
        raise InputError(f"{file.name} cannot be unpacked ({type(exc).__name__})") from exc


def _begin(target: ScanTarget, job: dict[str, object]) -> ScanState:
    path = target.state_path
    if path is None:
        return ScanState(job)
    outputs = [p for p in (Path(target.output), target.bad_path) if p is not None and p.exists()]
    if target.resume and path.exists():
        return load_state(path, job)
    if outputs and target.resume:
        raise InputError(f"{outputs[0]} exists, but {path}, which says where it stands, does not")
    if outputs and not target.overwrite:
        raise InputError(f"{outputs[0]} exists; give --resume, --overwrite or another -o")
    state = ScanState(job)
    save_state(path, state)
    for output in outputs:
        output.unlink()
    return state


class _Outputs:
    """Output, side file and state of a running scan."""

    def __init__(self, target: ScanTarget, state: ScanState) -> None:
        self._state_path = target.state_path
        self.rows: Sink = StreamSink()
        if target.output != STDIN:
            self.rows = FileSink(Path(target.output), at_byte=state.output_bytes)
            self.rows.create()
        bad = target.bad_path
        self.bad: Sink = NoSink() if bad is None else FileSink(bad, at_byte=state.bad_bytes)

    def __enter__(self) -> _Outputs:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.rows.close()
        self.bad.close()

    def commit(self, state: ScanState) -> ScanState:
        """Make the batch durable, then the state that counts it."""
        state = replace(state, output_bytes=self.rows.commit(), bad_bytes=self.bad.commit())
        if self._state_path is not None:
            save_state(self._state_path, state)
        return state


class _Run:
    """The loop over batches."""

    def __init__(
        self, judge: Judge, inputs: Sequence[InputFile], *, options: ScanOptions, watcher: Watcher
    ) -> None:
        self._judge = judge
        self._inputs = inputs
        self._options = options
        self._watcher = watcher
        self._bytes_before = 0
        self._bytes_done = 0

    def go(self, state: ScanState, outputs: _Outputs) -> ScanState:
        for batch in self._batches(state.position):
            state = self._write(batch, state, outputs)
            state = outputs.commit(replace(state, position=batch[-1].after))
            self._watcher.progress(self._bytes_done, state.counts)
        return outputs.commit(replace(state, complete=True))

    def _records(self, start: Position) -> Iterator[Record]:
        for index, file in enumerate(self._inputs):
            if index >= start.file:
                place = start if index == start.file else Position(index)
                yield from read_records(
                    file, place, settings=self._options.read, progress=self._note
                )
            self._bytes_before += file.size() or 0

    def _note(self, bytes_of_file: int) -> None:
        self._bytes_done = self._bytes_before + bytes_of_file

    def _batches(self, start: Position) -> Iterator[list[Record]]:
        batch: list[Record] = []
        size = 0
        for record in self._records(start):
            batch.append(record)
            size += record.size
            if len(batch) >= self._options.batch_rows or size >= _BATCH_BYTES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _write(self, batch: list[Record], state: ScanState, outputs: _Outputs) -> ScanState:
        prepared = [self._prepare(record) for record in batch]
        verdicts = iter(self._verdicts([job for job in prepared if isinstance(job, Job)]))
        counts, renamed = state.counts, dict(state.renamed)
        for record, job in zip(batch, prepared, strict=True):
            verdict = next(verdicts) if isinstance(job, Job) else job
            if isinstance(verdict, str) or record.fields is None:
                self._write_bad(record, str(verdict), outputs.bad)
                counts = replace(counts, bad=counts.bad + 1)
                continue
            row, moved = self._row(record, record.fields, verdict)
            outputs.rows.write(encode(row))
            renamed.update(moved)
            counts = _count(counts, verdict)
        return replace(state, counts=counts, renamed=renamed)

    def _prepare(self, record: Record) -> Job | str:
        read = self._options.read
        return prepare(record, text_column=read.text_column, default=self._options.checkpoint)

    def _verdicts(self, jobs: Sequence[Job]) -> list[Verdict | str]:
        """Judge a batch; where it is refused, judge its texts one by one to find the culprit."""
        if not jobs:
            return []
        try:
            texts = [job.text for job in jobs]
            return list(self._judge.check_many(texts, checkpoint=[j.checkpoint for j in jobs]))
        except InputError as exc:
            if len(jobs) == 1:
                return [str(exc)]
            return [verdict for job in jobs for verdict in self._verdicts([job])]

    def _row(
        self, record: Record, fields: dict[str, object], verdict: Verdict
    ) -> tuple[dict[str, object], dict[str, str]]:
        omit = self._options.read.text_column if self._options.omit_text else None
        row, renamed = output_row(fields, verdict, omit=omit)
        if self._options.with_source:
            row["source_file"] = self._inputs[record.after.file].name
            row["source_row"] = record.row
        return row, renamed

    def _write_bad(self, record: Record, problem: str, sink: Sink) -> None:
        file = self._inputs[record.after.file].name
        sink.write(encode(bad_row(record, file, problem)))
        self._watcher.bad(file, record.row, problem)


def _count(counts: Counts, verdict: Verdict) -> Counts:
    if not verdict.unsafe:
        return replace(counts, safe=counts.safe + 1)
    incomplete = counts.incomplete + (verdict.reason is Reason.INCOMPLETE)
    return replace(counts, unsafe=counts.unsafe + 1, incomplete=incomplete)
