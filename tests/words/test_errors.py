"""Errors and hints are translated as they are raised today, and what is quoted in them stays as it is."""

from __future__ import annotations

import ast
import string
from pathlib import Path

import pytest

import ordervet
from ordervet import errors
from ordervet.words.error_texts import load_translations, translate_error

SOURCE = Path(ordervet.__file__).parent
ERRORS = {name for name, value in vars(errors).items() if isinstance(value, type)}


def list_texts(node: ast.expr) -> list[str]:
    """List what an expression may say, with ``{}`` for what it quotes."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.JoinedStr):
        return ["".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)]
    if isinstance(node, ast.IfExp):
        return list_texts(node.body) + list_texts(node.orelse)
    if isinstance(node, ast.BinOp):
        return [left + right for left in list_texts(node.left) for right in list_texts(node.right)]
    return ["{}"]


def find_lines(folder: Path) -> set[str]:
    """Find the lines of every message and hint that a folder's sources raise."""
    calls = (
        node
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS
    )
    said = (each for call in calls for each in [*call.args[:1], *(key.value for key in call.keywords)])
    lines = {line for expression in said for text in list_texts(expression) for line in text.split("\n")}
    return {line for line in lines if any(sign.isalpha() for sign in line)}


def test_every_translated_line_is_raised() -> None:
    assert load_translations().keys() - find_lines(SOURCE) == set()


@pytest.mark.parametrize("room", ["cli", "contract/files", "contract/formats", "contract/sources"])
def test_every_line_about_commands_and_files_is_translated(room: str) -> None:
    assert find_lines(SOURCE / room) - load_translations().keys() - CODE == set()


#: Commands, settings and code, in which there is nothing to translate.
CODE = {
    "ordervet ingest FILE... --history DIR",
    "ordervet score FILE... --history DIR",
    'names = ["buyer__count__order__{1d,7d}"]',
    "--shifts 09:00-18:00,20:00-24:00",
    '{} "2025-11-11 20:00"',
    "--host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem",
    "--socket-mode 660",
    "--tls-cert cert.pem --tls-key key.pem",
    'url = "postgresql://reader@host:5432/shop", or mysql://reader@host:3306/shop',
    "overlap = {}",
    "openssl rand -hex 32 > token; ordervet serve --host 0.0.0.0 --token-file token",
}


def test_translations_quote_what_the_english_quotes() -> None:
    for english, translated in load_translations().items():
        fields = [field for _, field, _, _ in string.Formatter().parse(translated) if field is not None]
        numbers = [int(field or index) for index, field in enumerate(fields)]
        assert sorted(numbers) == list(range(english.count("{}"))), english


def test_the_longest_text_that_fits_is_taken() -> None:
    assert translate_error("there is no file a: b.csv", "zh") == "没有文件 a: b.csv"
    assert translate_error("the history shop has no order until then", "zh") == "历史库 shop 在此之前没有订单"


def test_numbered_values_change_places() -> None:
    assert translate_error("2 settings in fit.toml are wrong\n - 'seed': no", "zh") == (
        "fit.toml 中有 2 项设置有误\n - 'seed': no"
    )


def test_english_stays() -> None:
    assert translate_error("there is no file a.csv", "en") == "there is no file a.csv"
