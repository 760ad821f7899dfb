"""`ordervet address`, with whatever is piped into it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

FIELDS = {
    "door_key", "place_key", "place_type", "evidence", "province", "city", "county", "town", "roads", "names",
    "numbers", "notes",
}  # fmt: skip
DOOR = "南京市江宁区中山路5号3栋502"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERVET_KEY", bytes(range(7, 23)).hex())


@pytest.fixture
def pipe(ordervet, monkeypatch: pytest.MonkeyPatch):
    def call(data: bytes) -> list[dict]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        ended = ordervet("address", "--json")
        assert ended.code == 0
        return [json.loads(line) for line in ended.out.splitlines()]

    return call


def test_address_gives_one_object_for_each_line(pipe) -> None:
    described = pipe(f"{DOOR}\n\n中山路**号\r\n{DOOR}".encode())

    assert [set(each) for each in described] == [FIELDS] * 4
    assert [each["evidence"] for each in described] == ["known", "absent", "masked", "known"]
    assert described[0] == described[3]
    assert len(described[0]["door_key"]) == 16
    assert (described[1]["door_key"], described[2]["place_key"]) == (None, None)
    assert described[0]["numbers"] == {"number": ["5"], "building": ["3"], "room": ["502"]}


@pytest.mark.parametrize(
    "line", [DOOR.encode(), DOOR.encode("gb18030"), b"\xef\xbb\xbf" + DOOR.encode(), DOOR.encode() + b"\r"]
)
def test_address_reads_the_codings_of_exports(pipe, line: bytes) -> None:
    (described,) = pipe(line + b"\n")

    assert (described["city"], described["roads"]) == ("南京市", ["中山路"])


@pytest.mark.parametrize(
    "line", [b"\xff\xfe\xfd\x80", b"\x00\x1b[31mred\x07", b"'; DROP TABLE--", b"{{7*7}}[bold]", "👨‍👩‍👧".encode()]
)
def test_address_takes_hostile_lines(pipe, line: bytes) -> None:
    (described,) = pipe(line + b"\n")

    assert set(described) == FIELDS
    assert "\x1b" not in json.dumps(described, ensure_ascii=False)


def test_address_takes_a_line_of_a_million_characters(pipe) -> None:
    described = pipe(b"x" * 1_000_000 + b"\n" + DOOR.encode())

    assert [each["evidence"] for each in described] == ["unusable", "known"]


def test_address_of_nothing_says_nothing(pipe) -> None:
    assert pipe(b"") == []


def test_compare_without_a_first_address_is_wrong_usage(ordervet) -> None:
    ended = ordervet("address", "--compare", DOOR)

    assert ended.code == 2
    assert "compares a second address with a first" in " ".join(ended.err.split())


def test_address_ends_quietly_when_nobody_reads_on(tmp_path: Path) -> None:
    (tmp_path / "lines").write_text(f"{DOOR}\n" * 9_000, encoding="utf-8")
    with (tmp_path / "lines").open() as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", "ordervet", "address", "--json"],
            stdin=lines,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        process.stderr.close()

        assert (process.wait(), said) == (0, b"")
