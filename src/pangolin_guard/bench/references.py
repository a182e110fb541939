"""What others published, with where it was published.

Enters: nothing. Leaves: facts. `rows` is the number of rows behind a published figure where it is
known to be the suite's own; None where the rows are partly private (PINT), so that an interval
is taken as if the figure stood on as many rows as ours. Figures are percentages as printed.
"""

from __future__ import annotations

from dataclasses import dataclass

PANGOLIN_README = "github.com/dcarpintero/pangolin-guard, README.md"
PIGUARD_TABLE = "github.com/leolee99/PIGuard, results table (native thresholds)"
PIGUARD_LOG = "github.com/leolee99/PIGuard, logs/log.out"
ANY_GUARDRAIL = "github.com/mozilla-ai/any-guardrail, guardrail-bench (native thresholds)"


@dataclass(frozen=True, slots=True)
class Reference:
    """A figure of another guard, as published."""

    name: str
    figure: str
    percent: float
    source: str
    rows: int | None = None
    note: str = ""

    @property
    def value(self) -> float:
        """The figure as a rate in [0, 1]."""
        return self.percent / 100.0


def _protocol(name: str, *percents: float) -> tuple[Reference, ...]:
    keys = ("over_defense", "benign", "malicious", "average")
    return tuple(
        Reference(
            name,
            f"protocol.{key}",
            percent,
            PIGUARD_TABLE,
            rows=339 if key == "over_defense" else None,
            note="" if key == "over_defense" else "measured with the private PINT set",
        )
        for key, percent in zip(keys, percents, strict=True)
    )


def _harness(name: str, *, notinject_fpr: float, deepset_f1: float) -> tuple[Reference, ...]:
    return (
        Reference(
            name,
            "notinject.fpr",
            notinject_fpr,
            ANY_GUARDRAIL,
            rows=285,
            note="285 of the 339 rows, inferred from the fractions",
        ),
        Reference(name, "deepset_test.f1", deepset_f1, ANY_GUARDRAIL),
    )


REFERENCES: tuple[Reference, ...] = (
    Reference("PangolinGuard-large", "pangolin144.accuracy", 84.72, PANGOLIN_README, rows=144),
    Reference("PangolinGuard-base", "pangolin144.accuracy", 78.47, PANGOLIN_README, rows=144),
    Reference(
        "PIGuard",
        "pangolin144.accuracy",
        86.11,
        PIGUARD_LOG,
        rows=144,
        note="best checkpoint of its log, chosen on these very rows",
    ),
    *_protocol("PIGuard", 87.32, 85.74, 77.39, 83.48),
    *_protocol("GPT-4o", 86.73, 90.78, 79.10, 85.53),
    *_protocol("Lakera Guard", 87.61, 90.89, 53.19, 77.23),
    *_protocol("Llama Guard 3", 99.71, 95.18, 28.28, 74.39),
    *_protocol("ProtectAI v2", 57.23, 86.20, 48.60, 64.01),
    *_protocol("Prompt Guard", 0.29, 26.82, 97.10, 41.40),
    *_harness("PangolinGuard-base", notinject_fpr=18.2, deepset_f1=86.8),
    *_harness("PIGuard", notinject_fpr=8.4, deepset_f1=80.0),
    *_harness("Prompt Guard 2", notinject_fpr=3.2, deepset_f1=23.5),
    *_harness("ProtectAI v2", notinject_fpr=38.2, deepset_f1=53.7),
    *_harness("Sentinel v1", notinject_fpr=24.2, deepset_f1=85.7),
)


def references_for(figure: str) -> tuple[Reference, ...]:
    """Return the published values of a figure, in the order of `REFERENCES`."""
    return tuple(reference for reference in REFERENCES if reference.figure == figure)
