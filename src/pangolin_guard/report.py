"""Verdicts as JSON objects and as lines for a terminal; no decisions here.

A verdict enters, plain data or a line without prompt text leaves. Spans are numbers only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pangolin_guard.errors import InputError
from pangolin_guard.types import (
    Action,
    Checkpoint,
    Coverage,
    Finding,
    Label,
    Mode,
    Reason,
    Span,
    Verdict,
)

_DIGITS = 6
_REASONS = {
    Reason.SCORE: "clear score",
    Reason.LOW_CONFIDENCE: "low confidence",
    Reason.EMPTY_INPUT: "nothing to judge",
    Reason.INCOMPLETE: "not wholly scanned",
}


def verdict_to_dict(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as an object that `json.dumps` takes; probabilities have 6 digits."""
    coverage = verdict.coverage
    return {
        "label": verdict.label.value,
        "p_unsafe": round(verdict.p_unsafe, _DIGITS),
        "threshold": round(verdict.threshold, _DIGITS),
        "action": verdict.action.value,
        "reason": verdict.reason.value,
        "coverage": {
            "tokens_total": coverage.tokens_total,
            "tokens_scanned": coverage.tokens_scanned,
            "windows": coverage.windows,
            "complete": coverage.complete,
        },
        "spans": [_span_to_dict(span) for span in verdict.spans],
        "model": verdict.model,
        "latency_ms": round(verdict.latency_ms, 3),
        "mode": verdict.mode.value,
        "checkpoint": None if verdict.checkpoint is None else verdict.checkpoint.value,
        "findings": [
            {
                "detector": finding.detector,
                "code": finding.code,
                "message": finding.message,
                "spans": [_span_to_dict(span) for span in finding.spans],
            }
            for finding in verdict.findings
        ],
        "codes": list(verdict.codes),
        "tags": list(verdict.tags),
    }


def verdict_from_dict(data: Mapping[str, Any]) -> Verdict:
    """Read an object that `verdict_to_dict` made.

    Raises:
        InputError: If a key is missing, or its value is not understood.
    """
    try:
        return _read_verdict(data)
    except KeyError as exc:
        raise InputError(f"a stored verdict lacks the key {exc.args[0]!r}") from exc
    except (TypeError, ValueError, AttributeError) as exc:
        raise InputError(f"a stored verdict cannot be read: {exc}") from exc


def verdict_line(verdict: Verdict) -> str:
    """Return one line for a terminal: label, score against threshold, reason and time."""
    sign = "≥" if verdict.p_unsafe >= verdict.threshold else "<"
    origin = "origin unknown" if verdict.checkpoint is None else verdict.checkpoint.segment
    line = (
        f"{verdict.label.value.upper():<6}  p={verdict.p_unsafe:.3f} {sign} "
        f"{verdict.threshold:.3f}  {_REASONS[verdict.reason]}, {origin}, {verdict.latency_ms:.1f} ms"
    )
    if verdict.unsafe and verdict.spans and verdict.coverage.windows > 1:
        span = verdict.spans[0]
        line += f", characters {span.start}-{span.end}"
    return line


def _span_to_dict(span: Span) -> dict[str, Any]:
    return {"start": span.start, "end": span.end, "p_unsafe": round(span.p_unsafe, _DIGITS)}


def _read_span(data: Mapping[str, Any]) -> Span:
    return Span(data["start"], data["end"], data["p_unsafe"])


def _read_finding(data: Mapping[str, Any]) -> Finding:
    spans = tuple(_read_span(span) for span in data["spans"])
    return Finding(data["detector"], data["code"], data["message"], spans)


def _read_verdict(data: Mapping[str, Any]) -> Verdict:
    coverage = data["coverage"]
    origin = data["checkpoint"]
    return Verdict(
        label=Label(data["label"]),
        p_unsafe=data["p_unsafe"],
        threshold=data["threshold"],
        action=Action(data["action"]),
        reason=Reason(data["reason"]),
        coverage=Coverage(
            coverage["tokens_total"],
            coverage["tokens_scanned"],
            coverage["windows"],
            coverage["complete"],
        ),
        spans=tuple(_read_span(span) for span in data["spans"]),
        model=data["model"],
        latency_ms=data["latency_ms"],
        mode=Mode(data["mode"]),
        checkpoint=None if origin is None else Checkpoint(origin),
        findings=tuple(_read_finding(finding) for finding in data["findings"]),
        codes=tuple(data["codes"]),
        tags=tuple(data["tags"]),
    )
