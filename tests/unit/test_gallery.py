"""The gallery is whole: every attack has a twin, every vector is there."""

from __future__ import annotations

from pangolin_guard import Checkpoint, Label
from pangolin_guard.gallery import load_gallery
from pangolin_guard.text.normalize import normalize

ROWS = load_gallery()
VECTORS = {
    "prompt",
    "context",
    "internals",
    "retrieval",
    "mcp",
    "agent",
    "response",
    "unicode",
    "jailbreak",
    "plain",
    "tokens",
    "trigger-words",
    "role-play",
}


def words(text: str) -> set[str]:
    return set(normalize(text).text.casefold().split())


def test_every_row_has_a_twin_with_the_opposite_label():
    by_id = {row.id: row for row in ROWS}
    assert len(by_id) == len(ROWS)
    for row in ROWS:
        twin = by_id[row.twin]
        assert twin.twin == row.id
        assert {row.label, twin.label} == {Label.SAFE, Label.UNSAFE}
        assert (twin.vector, twin.source) == (row.vector, row.source)


def test_every_vector_and_checkpoint_of_the_seed_is_covered():
    assert {row.vector for row in ROWS} == VECTORS
    assert {row.source for row in ROWS} == {"talk", "notebook"}
    assert {row.checkpoint for row in ROWS} == set(Checkpoint)


def test_twins_share_words():
    by_id = {row.id: row for row in ROWS}
    for row in ROWS:
        own = words(row.text)
        other = words(by_id[row.twin].text)
        assert len(own & other) >= 3, row.id


def test_no_row_is_copied_from_the_seed(shared):
    for path in (shared / "seeds").glob("*.txt"):
        content = " ".join(path.read_text(encoding="utf-8", errors="replace").casefold().split())
        copied = [row.id for row in ROWS if " ".join(row.text.casefold().split()) in content]
        assert not copied
