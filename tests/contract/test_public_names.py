"""What the package shows is what it lists."""

from __future__ import annotations

import importlib
import inspect
from importlib.util import find_spec
from types import ModuleType

import pangolin_guard
from pangolin_guard.errors import MissingExtraError


def test_all_is_sorted_and_complete():
    listed = pangolin_guard.__all__
    assert listed == sorted(listed)
    shown = {
        name
        for name, value in vars(pangolin_guard).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert shown | {"__version__"} == set(listed)


def test_every_public_name_has_a_docstring():
    bare = [
        name
        for name in pangolin_guard.__all__
        if name != "__version__" and not inspect.getdoc(getattr(pangolin_guard, name))
    ]
    assert bare == []


def test_rooms_export_what_they_list():
    for room in ("bench", "runtime", "scan", "text", "train"):
        module = importlib.import_module(f"pangolin_guard.{room}")
        listed = getattr(module, "__all__", [])
        missing = [name for name in listed if not exports(module, name)]
        assert missing == [], room


def exports(module: ModuleType, name: str) -> bool:
    """Tell whether a room has a name, or says which extra would bring it."""
    try:
        return hasattr(module, name)
    except MissingExtraError as exc:
        return exc.extra == "train" and find_spec("torch") is None
