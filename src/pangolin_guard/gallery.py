"""The gallery: attacks and benign prompts that the default model has to get right.

Every attack has a twin, a harmless text with much the same words. The rows are our own wording
of the attack vectors of the talk and of the examples of the notebook that the project grew from;
they are never trained on. This module reads the packaged file and knows nothing of models.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files

from pangolin_guard.types import Checkpoint, Label


@dataclass(frozen=True, slots=True)
class GalleryRow:
    """One text with the verdict that it should get.

    `vector` names the way in ("prompt", "context", "mcp", ...), `source` is "talk" or "notebook",
    and `twin` is the id of the row with the same words and the opposite label.
    """

    id: str
    title: str
    text: str
    label: Label
    checkpoint: Checkpoint
    vector: str
    source: str
    twin: str


def load_gallery() -> tuple[GalleryRow, ...]:
    """Return the rows of the packaged gallery, each attack followed by its benign twin."""
    content = files("pangolin_guard").joinpath("gallery.json").read_text(encoding="utf-8")
    return tuple(
        GalleryRow(
            **{
                **row,
                "label": Label(row["label"]),
                "checkpoint": Checkpoint(row["checkpoint"]),
            }
        )
        for row in json.loads(content)
    )
