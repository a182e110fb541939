"""The real suites, where ../shared holds them: what the code states about them is true."""

import numpy as np
import pytest

from pangolin_guard.bench.compare import compare_stored
from pangolin_guard.bench.figures import Kind, Part, share
from pangolin_guard.bench.suites import SUITES, load_suites


@pytest.fixture(scope="module")
def real(shared):
    folder = shared / "data" / "bench"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data/bench beside the repository, which is missing")
    return load_suites(folder)


def test_every_suite_is_there_as_published(real):
    assert real.missing == ()
    assert [suite.spec for suite in real.suites] == list(SUITES)
    for suite in real.suites:
        assert suite.as_published, suite.spec.name
        assert len(suite.rows) == suite.spec.rows
        assert sum(row.label for row in suite.rows) == suite.spec.unsafe


def test_sources_are_those_that_the_figures_look_for(real):
    sources = {s.spec.name: {row.source for row in s.rows} for s in real.suites}
    assert sources["notinject"] == {"notinject_1", "notinject_2", "notinject_3"}
    assert sources["bipia_attacks"] == {"bipia_text", "bipia_code"}
    pint = {source for source in sources["pangolin144"] if source.startswith("PINT")}
    assert len(pint) == 6


def test_stored_answers_give_the_published_accuracies(real):
    suite = next(s for s in real.suites if s.spec.name == "pangolin144")
    all_right = [Part(np.ones(len(suite.rows), dtype=np.bool_))]
    ours = [share("pangolin144.accuracy", "all", Kind.ACCURACY, parts=all_right)]
    found = {c.other: round(100 * c.theirs.value, 2) for c in compare_stored(ours, suite)}
    assert found == {"Claude 3.7": 86.81, "Gemini Flash 2.0": 86.11}


def test_no_text_has_two_labels_in_the_suites(real):
    labels = {}
    for suite in real.suites:
        for row in suite.rows:
            assert labels.setdefault(row.text, row.label) == row.label
