"""The robustness room: needles in long texts, disguised attacks, optimised suffixes.

Enters: a guard, our own held-out payloads, benign text. Leaves: rates with intervals and a report.
Importing it reads no file and needs no extra; plots need `bench`, dataset folders `data`.
"""

from pangolin_guard.robust.haystack import Haystack, read_haystack
from pangolin_guard.robust.needles import NeedleOptions, NeedleResult, run_needles
from pangolin_guard.robust.payloads import Payload, load_payloads
from pangolin_guard.robust.report import RobustnessResult, result_to_dict, to_markdown
from pangolin_guard.robust.techniques import FAMILIES, TECHNIQUES
from pangolin_guard.robust.variants import VariantResult, run_variants

__all__ = [
    "FAMILIES",
    "TECHNIQUES",
    "Haystack",
    "NeedleOptions",
    "NeedleResult",
    "Payload",
    "RobustnessResult",
    "VariantResult",
    "load_payloads",
    "read_haystack",
    "result_to_dict",
    "run_needles",
    "run_variants",
    "to_markdown",
]
