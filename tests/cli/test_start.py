"""The command line starts quickly, and lists what there is."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ordervet import cli
from ordervet.cli import ENTRIES, load_command

_HEAVY = {"numba", "lightgbm", "sklearn", "pandas", "pyarrow", "numpy", "deltalake", "pydantic"}


def _list_modules(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("name", ENTRIES)
def test_every_command_is_there_with_an_example(name, ordervet):
    command = load_command(name)

    assert command.name == name
    assert ordervet(name, "--help").code == 0
    assert len(ENTRIES[name].summary) <= 66
    assert "Example: ordervet" in (command.help or "") or hasattr(command, "commands")


def test_help_lists_every_command(ordervet):
    ended = ordervet("--help")

    assert all(f"  {name} " in ended.out and entry.summary in ended.out for name, entry in ENTRIES.items())


def test_a_mistyped_command_is_refused_with_the_nearest(ordervet):
    ended = ordervet("scoer", "orders.csv")

    assert ended.code == 2
    assert "Did you mean 'score'" in ended.err


@pytest.mark.parametrize("statement", ["import ordervet", "import ordervet.cli"])
def test_start_imports_nothing_heavy(statement):
    modules = _list_modules(statement)

    assert not _HEAVY & modules


def test_the_first_run_on_a_machine_says_why_it_takes_long(ordervet, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cli, "has_compiled_kernels", lambda _: False)

    first = ordervet("score", "missing.csv")
    monkeypatch.setattr(cli, "has_compiled_kernels", lambda _: True)
    second = ordervet("score", "missing.csv")

    assert "compiling" in first.err
    assert "compiling" not in second.err


@pytest.mark.parametrize("arguments", [["--help"], ["models", "--help"], ["formats"], ["scripts", "list", "--json"]])
def test_a_command_ends_quietly_when_nobody_reads(arguments: list[str]):
    theirs, ours = os.pipe()
    os.close(theirs)

    with os.fdopen(ours, "wb") as unread:
        done = subprocess.run(
            [sys.executable, "-m", "ordervet", *arguments],
            stdout=unread,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            check=False,
        )

    assert (done.returncode, done.stderr) == (0, b"")


def test_groups_show_their_help_as_the_others_do(ordervet):
    shown = {name: ordervet(name, "--help").out for name in ENTRIES}

    assert not [name for name, text in shown.items() if "╭" in text or "--install-completion" in text]
