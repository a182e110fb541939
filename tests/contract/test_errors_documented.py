"""docs/errors.md and the tree in errors.py name every error there is."""

from __future__ import annotations

import inspect

import pangolin_guard
from pangolin_guard import errors
from repo import ROOT

CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, errors.PangolinGuardError)
]


def test_the_page_and_the_tree_name_every_error():
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    tree = inspect.getdoc(errors) or ""
    assert len(CLASSES) >= 9
    for error in CLASSES:
        assert f"`{error.__name__}`" in page, error
        assert error.__name__ in tree, error


def test_every_error_is_public_and_explained():
    for error in CLASSES:
        assert getattr(pangolin_guard, error.__name__) is error
        assert error.__doc__


def test_the_page_names_no_error_that_is_gone():
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    rows = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(error.__name__ for error in CLASSES)
