"""The first run on a machine compiles in two processes, says so, and scores all the same where it cannot."""

from __future__ import annotations

import logging

import pytest

from ordervet.score import compiling


class Beside:
    """A process beside this one that has ended."""

    def __init__(self, code: int) -> None:
        self.code = code

    def wait(self) -> int:
        return self.code


def run(monkeypatch: pytest.MonkeyPatch, beside: Beside | None, *, has_kernels: bool = False) -> list[str]:
    done: list[str] = []
    monkeypatch.setattr(compiling, "has_compiled_kernels", lambda _: has_kernels)
    monkeypatch.setattr(compiling, "_start_beside", lambda: beside)
    monkeypatch.setattr(compiling, "compile_keys", lambda: done.append("keys"))
    monkeypatch.setattr(compiling, "compile_features", lambda: done.append("features"))
    compiling.compile_kernels()
    return done


@pytest.mark.parametrize(
    ("beside", "here"), [(Beside(0), ["keys"]), (Beside(1), ["keys", "features"]), (None, ["keys", "features"])]
)
def test_first_run_compiles_here_what_no_other_process_has(
    beside: Beside | None, here: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "ordervet"):
        done = run(monkeypatch, beside)

    assert done == here
    assert "first run: compiling" in caplog.text


def test_nothing_is_compiled_where_kernels_are(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert run(monkeypatch, Beside(0), has_kernels=True) == []
    assert caplog.text == ""


def test_both_halves_run_each_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)

    beside = compiling._start_beside()
    compiling.compile_keys()

    assert beside is not None
    assert beside.wait() == 0


def test_one_core_has_no_use_for_two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 1)

    assert compiling._start_beside() is None
