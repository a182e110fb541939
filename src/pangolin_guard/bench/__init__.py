"""The benchmark room: suites, figures, references, latency, reports.

Importing it reads no file and needs no extra; plots need `bench`, dataset splits `data`, and the
latency baseline `train`.
"""

from pangolin_guard.bench.latency import LatencyOptions, LatencyResult, measure_latency
from pangolin_guard.bench.report import result_to_dict, to_json, to_markdown
from pangolin_guard.bench.run import BenchmarkResult, RunOptions, run_split, run_suites
from pangolin_guard.bench.splits import load_split
from pangolin_guard.bench.suites import SUITES, find_folder, load_suites

__all__ = [
    "SUITES",
    "BenchmarkResult",
    "LatencyOptions",
    "LatencyResult",
    "RunOptions",
    "find_folder",
    "load_split",
    "load_suites",
    "measure_latency",
    "result_to_dict",
    "run_split",
    "run_suites",
    "to_json",
    "to_markdown",
]
