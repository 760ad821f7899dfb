"""What is imported when it is first used, so that nobody waits for what he does not need.

`export_lazily` is for packages that offer names of many modules; `pa` and `pc` are Arrow, for modules on the path of a
live order, which has no table.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa
    import pyarrow.compute as pc

__all__ = ["export_lazily", "pa", "pc"]


def export_lazily(package: str, files: Mapping[str, str]) -> Callable[[str], object]:
    """Return the ``__getattr__`` of a package.

    Parameters
    ----------
    package : its name
    files : module of the package, such as ``formats.detection`` → the names it defines, separated by spaces
    """
    found_in = {name: file for file, names in files.items() for name in names.split()}

    def find(name: str) -> object:
        if name not in found_in:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        value: object = getattr(import_module(f"{package}.{found_in[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return find


class _LateModule:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        value = self.__dict__[name] = getattr(import_module(self._name), name)
        return value


if not TYPE_CHECKING:
    pa, pc = _LateModule("pyarrow"), _LateModule("pyarrow.compute")
