"""The command line, called in this process as a user calls it."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from ordervet.cli import run


class Ended:
    """How a command ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def _english_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture
def ordervet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def call(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["ordervet", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            run()
        text = capsys.readouterr()
        assert "Traceback" not in text.err + text.out
        return Ended(int(ended.value.code or 0), text.out, text.err)

    return call
