import pytest

from pangolin_guard.bench.references import REFERENCES, references_for


def test_every_reference_is_a_rate_with_a_source():
    for reference in REFERENCES:
        assert 0.0 <= reference.value <= 1.0
        assert reference.source.startswith("github.com/")


def test_no_guard_has_two_values_of_one_figure():
    keys = [(reference.name, reference.figure) for reference in REFERENCES]
    assert len(keys) == len(set(keys))


def test_published_averages_are_the_means_of_their_three_parts():
    for average in references_for("protocol.average"):
        parts = [
            reference.value
            for key in ("over_defense", "benign", "malicious")
            for reference in references_for(f"protocol.{key}")
            if reference.name == average.name
        ]
        assert average.value == pytest.approx(sum(parts) / 3, abs=1.1e-4)


def test_the_talks_own_models_stand_on_the_144_rows():
    named = {r.name: r for r in references_for("pangolin144.accuracy")}
    assert named["PangolinGuard-large"].percent == 84.72
    assert named["PangolinGuard-base"].percent == 78.47
    assert round(named["PangolinGuard-large"].value * 144) == 122
