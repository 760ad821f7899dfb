"""Packages that offer names lazily offer exactly those that they list."""

from __future__ import annotations

from importlib import import_module

import pytest


@pytest.mark.parametrize(
    "package",
    ["ordervet", *(f"ordervet.{room}" for room in ("contract", "entities", "history", "model", "policy", "score"))],
)
def test_a_package_offers_what_it_lists(package: str):
    module = import_module(package)

    assert all(hasattr(module, name) for name in module.__all__)
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        _ = module.nothing
