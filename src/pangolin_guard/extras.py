"""The gate to optional dependencies.

A room that needs one calls `require`; where it is missing, the error names the line to type.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from pangolin_guard.errors import MissingExtraError


def require(extra: str, *modules: str) -> ModuleType:
    """Import the modules and return the first.

    Args:
        extra: The extra of this package that brings them, such as "train".
        modules: Import names, such as "torch" or "pyarrow.parquet".

    Returns:
        The first module. A dotted name returns the submodule itself.

    Raises:
        MissingExtraError: If one of them is not installed.
    """
    loaded = []
    for name in modules:
        try:
            loaded.append(import_module(name))
        except ModuleNotFoundError as exc:
            raise MissingExtraError(extra, name.partition(".")[0]) from exc
    return loaded[0]
