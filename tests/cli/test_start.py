"""The command line starts quickly, and lists what there is."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata

import pytest

from ordervet.cli import ENTRIES, load_command

_HEAVY = {"lightgbm", "sklearn", "pandas", "pyarrow", "numpy", "deltalake", "pydantic"}


def _list_modules(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("name", ENTRIES)
def test_every_summary_fits_its_line(name: str):
    assert load_command(name).name == name
    assert len(ENTRIES[name].summary) <= 66


def test_help_lists_every_command(ordervet):
    ended = ordervet("--help")

    assert all(f"  {name} " in ended.out and entry.summary in ended.out for name, entry in ENTRIES.items())


def list_commands() -> list[list[str]]:
    """List the words of every command, those of groups too."""
    found = []
    for name in ENTRIES:
        command = load_command(name)
        found += [[name, each] for each in getattr(command, "commands", [])] or [[name]]
    return found


@pytest.mark.parametrize("words", list_commands(), ids=" ".join)
def test_every_command_has_json_lang_an_example_and_the_exit_codes(words: list[str], ordervet):
    ended = ordervet(*words, "--help")

    text = " ".join(ended.out.split())
    assert ended.code == 0
    assert f"Example: ordervet {' '.join(words)}" in text
    assert all(each in text for each in ("--json", "--lang", "Exit codes:"))


def test_version_is_printed(ordervet):
    assert ordervet("--version").out == f"ordervet {metadata.version('ordervet')}\n"


@pytest.mark.parametrize("arguments", [["--lang", "zh"], ["--lang=zh"]])
def test_errors_and_hints_follow_the_language_asked_for(ordervet, tmp_path, arguments: list[str]):
    ended = ordervet("validate", tmp_path / "missing.csv", *arguments)

    assert ended.code == 3
    assert "\n错误：" in "\n" + ended.err  # after what is said of the key, in the same language
    assert "\n建议：" in ended.err


def test_a_missing_package_is_one_error_with_the_remedy(ordervet, monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    orders = tmp_path / "orders.csv"
    orders.write_text("order_id,placed_at,amount_minor\nt1,2025-11-01,100\n", encoding="utf-8")

    ended = ordervet("score", orders, "--out", tmp_path / "queue.xlsx", "--lang", "en")

    assert ended.code == 1
    assert ended.err.endswith(
        "error: the package 'xlsxwriter' is not installed\nhint: make setup, or pip install ordervet\n"
    )


def test_a_mistyped_command_is_refused_with_the_nearest(ordervet):
    ended = ordervet("scoer", "orders.csv")

    assert ended.code == 2
    assert "did you mean score" in ended.err


@pytest.mark.parametrize("statement", ["import ordervet", "import ordervet.cli"])
def test_start_imports_nothing_heavy(statement):
    modules = _list_modules(statement)

    assert not _HEAVY & modules


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
