"""Store the answers of the packaged model, so that a change of behavior cannot pass unnoticed.

    python scripts/make_golden.py                      rewrite tests/golden/<model>.json
    python scripts/make_golden.py MODEL OUT.json       another model, another file

Cases are the gallery and tests/golden/cases.json. Run it after a deliberate change of model,
normalization or tokenization, and look at the difference before committing it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pangolin_guard import Guard
from pangolin_guard.gallery import load_gallery
from pangolin_guard.runtime.bundle import find_model

GOLDEN = Path(__file__).parent.parent / "tests" / "golden"


def load_cases() -> list[dict[str, str | None]]:
    """Return id, text and checkpoint of every case; `repeat` makes a case long."""
    cases: list[dict[str, str | None]] = [
        {"id": row.id, "text": row.text, "checkpoint": row.checkpoint.value}
        for row in load_gallery()
    ]
    for case in json.loads((GOLDEN / "cases.json").read_text(encoding="utf-8")):
        text = case["text"] * case.get("repeat", 1) + case.get("ending", "")
        cases.append({"id": case["id"], "text": text, "checkpoint": case["checkpoint"]})
    return cases


def model_identity(model: str | Path | None) -> str:
    """Return the manifest of a bundle, which names the hash of each of its files."""
    manifest = (find_model(model) / "manifest.json").read_text(encoding="utf-8")
    return json.dumps(json.loads(manifest), sort_keys=True)


def answers(guard: Guard) -> dict[str, dict[str, object]]:
    """Return the verdict on every case, by id, without what differs from run to run."""
    result = {}
    for case in load_cases():
        verdict = guard.check(str(case["text"]), checkpoint=case["checkpoint"])
        result[str(case["id"])] = {
            "label": verdict.label.value,
            "p_unsafe": round(verdict.p_unsafe, 4),
            "threshold": verdict.threshold,
            "tokens": verdict.coverage.tokens_total,
            "windows": verdict.coverage.windows,
            "spans": [[span.start, span.end] for span in verdict.spans],
        }
    return result


def main() -> None:
    """Write the golden file."""
    model = sys.argv[1] if len(sys.argv) > 1 else None
    guard = Guard(model)
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else GOLDEN / f"{guard.model_name}.json"
    found = answers(guard)
    content = {
        "model": guard.model_name,
        "manifest": json.loads(model_identity(model)),
        "misjudged": [
            row.id for row in load_gallery() if found[row.id]["label"] != row.label.value
        ],
        "answers": found,
    }
    target.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {target}: {len(found)} answers")


if __name__ == "__main__":
    main()
