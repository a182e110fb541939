"""Bulk scanning: files of texts in, JSON Lines with verdicts out, in constant memory.

`records`, `lines`, `readers`, `tables` and `parquet` read; `rows` turns verdicts into output rows;
`state` and `sink` make every batch durable; `engine` runs a scan. A killed scan resumes without
losing or repeating a row.
"""

from __future__ import annotations

from pangolin_guard.scan.engine import ScanOptions, ScanTarget, Watcher, scan_files
from pangolin_guard.scan.readers import ReadSettings
from pangolin_guard.scan.records import Format, InputFile, describe_input
from pangolin_guard.scan.state import Counts, ScanState

__all__ = [
    "Counts",
    "Format",
    "InputFile",
    "ReadSettings",
    "ScanOptions",
    "ScanState",
    "ScanTarget",
    "Watcher",
    "describe_input",
    "scan_files",
]
