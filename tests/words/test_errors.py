"""Errors and hints are translated as they are raised today, and what is quoted in them stays as it is."""

from __future__ import annotations

import ast
import re
import string
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ordervet
from ordervet import errors
from ordervet.words.error_texts import load_translations, translate_error

if TYPE_CHECKING:
    from collections.abc import Mapping

SOURCE = Path(ordervet.__file__).parent
TEXTS = (ast.Constant, ast.JoinedStr, ast.IfExp, ast.BinOp)
ROOT = SOURCE.parent.parent
SAYING = {name for name, value in vars(errors).items() if isinstance(value, type)} | {"report_step", "show_rows"}


def list_texts(node: ast.expr, named: Mapping[str, list[ast.expr]]) -> list[str]:
    """List what an expression may say, with ``{}`` for what it quotes; a name says whatever is assigned to it."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.JoinedStr):
        return ["".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)]
    if isinstance(node, ast.IfExp):
        return list_texts(node.body, named) + list_texts(node.orelse, named)
    if isinstance(node, ast.BinOp):
        return [left + right for left in list_texts(node.left, named) for right in list_texts(node.right, named)]
    if isinstance(node, ast.Name) and node.id in named:
        return [text for each in named[node.id] for text in list_texts(each, {})]
    return ["{}"]


def find_named(tree: ast.Module, *, is_constant: bool) -> dict[str, list[ast.expr]]:
    """Find the texts that names of a module stand for."""
    found: dict[str, list[ast.expr]] = {}
    for node in tree.body if is_constant else ast.walk(tree):
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            if isinstance(target, ast.Name) and isinstance(node.value, TEXTS):  # type: ignore[attr-defined]
                found.setdefault(target.id, []).append(node.value)  # type: ignore[attr-defined]
    return found


@cache
def find_lines() -> frozenset[str]:
    """Find the lines of every message, hint and step of progress that the sources raise or report."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in SOURCE.rglob("*.py")]
    constants: dict[str, list[ast.expr]] = {}
    for tree in trees:
        for name, each in find_named(tree, is_constant=True).items():
            constants.setdefault(name, []).extend(each)
    said: set[str] = set()
    for tree in trees:
        named = constants | find_named(tree, is_constant=False)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in SAYING:
                for each in [*node.args[:1], *(key.value for key in node.keywords)]:
                    said.update(list_texts(each, named))
    lines = {line for text in said for line in text.split("\n")}
    return frozenset(line for line in lines if any(sign.isalpha() for sign in line))


def test_every_translated_line_is_raised() -> None:
    assert (load_translations().keys() | load_translations("items").keys()) - find_lines() == set()


def test_every_line_that_a_command_can_show_is_translated() -> None:
    known = {text for table in ("lines", "items", "details") for text in load_translations(table)}

    assert find_lines() - known - CODE - FOR_CALLERS == PUT_TOGETHER


def test_every_detail_is_put_together_somewhere() -> None:
    files = [*SOURCE.rglob("*.py"), *SOURCE.rglob("tables/*.toml"), ROOT / "tools" / "train_starter.py"]
    source = " ".join(re.sub(r'"\s*f?"', "", path.read_text(encoding="utf-8")) for path in files)

    said = {
        text: [part.strip() for part in re.split(r"\{\}|[;,:]| is not ", text)] for text in load_translations("details")
    }
    unknown = {text for text, parts in said.items() if any(part not in source for part in parts)}

    assert unknown == OF_PARSERS | COUNTED


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
    'RemoteScorer("unix:history/_service.sock")',
    'Scorer.open(history="history", create=True)',
    "file:///srv/published",
    "s3://BUCKET/FOLDER, oss://…, az://…, or file:///FOLDER",
    'scorer.observe(Outcome(order_id="t1", kind="refund_requested", happened_at="2025-11-12 09:00"))',
    'scorer.score_claim({"order_id": "t1", "happened_at": "2025-11-12", "refund_type": "refund_only"})',
    "openssl rand -hex 32",
    "{}/history",
}

#: What is wrong with how a function of the library is called: no command can show it.
FOR_CALLERS = {
    "a feature name is given twice",
    "a foreign world has no {}",
    "a rank by value needs every order's amount",
    "codes are ENTITY_absent, ENTITY_masked, ENTITY_unusable",
    "evidence differs in length between entities",
    "evidence holds an unknown state",
    "got contributions of shape {} and values of shape {}, expected (n_orders, {}) for both",
    "got {} of shape {}, expected {}",
    "got {} of type {}, expected integers",
    "leave out orders that could not be scored: Decision.unscored(...) lets them pass",
    "load_registry().reasons lists all codes",
    "minimum evidence needs both n_orders_known and p_without_own_history, or neither",
    "pass a validated order",
    "pass amount_minor= to decide()",
    "pass an int64 array",
    "pass both to decide()",
    "pass capacity=300, for example",
    "pass each feature once",
    "pass one column per feature name",
    "pass one state per order and entity",
    "pass one value per order",
    "pass placed_at_us= to decide()",
    "see lab/foreign.py",
    "states are 0 to 3, as entities.Evidence has them",
    "the order's placed_at is not a time with a zone",
    "thresholds by expected cost need every order's amount",
    "{} contributions are not finite numbers",
    "{} of {} probabilities in {} are not numbers from 0 to 1",
}

#: Of parts that are texts themselves: each whole is among the details.
PUT_TOGETHER = {
    "{} has none of the columns that identify its kind: {}{}",
    "{} is not {}",
    "{} is not {}; it looks like {}",
}

OF_PARSERS = {
    "Extra inputs are not permitted",
    "Input should be {}",
    "a valid boolean",
    "a valid integer",
    "a valid integer, unable to parse string as an integer",
    "a valid list",
    "a valid number",
    "a valid number, unable to parse string as a number",
    "a valid string",
    "greater than or equal to {}",
    "greater than {}",
    "less than or equal to {}",
}

#: Of one or of several, or of nothing, which the source says in one text.
COUNTED = {
    "got nothing, expected {}; {} row; first: {}",
    "got nothing, expected {}; {} rows; first: {}",
    "{} column does not fit {} in {}",
    "{} columns do not fit {} in {}",
    "{} setting failed in {}",
}


@pytest.mark.parametrize("table", ["lines", "items", "details"])
def test_translations_quote_what_the_english_quotes(table: str) -> None:
    for english, translated in load_translations(table).items():
        fields = [field for _, field, _, _ in string.Formatter().parse(translated) if field is not None]
        numbers = [int(field or index) for index, field in enumerate(fields)]
        assert sorted(numbers) == list(range(english.count("{}"))), english


def test_the_longest_text_that_fits_is_taken() -> None:
    assert translate_error("there is no file a: b.csv", "zh") == "没有文件 a: b.csv"
    assert translate_error("the history shop has no order until then", "zh") == "历史库 shop 在此之前没有订单"


def test_numbered_values_change_places() -> None:
    assert translate_error("2 settings in fit.toml are wrong\n - 'seed': no", "zh") == (
        "fit.toml 中有 2 项设置有误\n - 'seed'：no"
    )


def test_what_is_wrong_with_a_part_is_translated_part_by_part() -> None:
    text = (
        "2 columns do not fit orders in a.csv\n - 'amonut': unknown; did you mean 'amount_minor'?\n"
        " - 'quantity': got 0, expected at least 1; 3 rows; first: t1, t2"
    )

    assert translate_error(text, "zh") == (
        "a.csv 中有 2 列与 orders 不符\n - 'amonut'：不认识；是否应为 'amount_minor'？\n"
        " - 'quantity'：得到 0，应为不小于 1；3 行；首个：t1, t2"
    )


def test_value_that_was_got_stays_as_it_was_given() -> None:
    text = " - 'status': got unknown, expected one of paid, shipped; 1 row; first: t1"

    assert translate_error(text, "zh") == " - 'status'：得到 unknown，应为 paid, shipped 之一；1 行；首个：t1"


def test_name_of_an_item_keeps_its_line_apart_from_others() -> None:
    assert translate_error(" - 'bands': is missing", "zh") == " - 'bands'：缺少"
    assert translate_error(" - 'the file': x is no field of orders; y is missing", "zh") == (
        " - '文件'：x 不是 orders 的字段；缺少 y"
    )


def test_what_the_system_says_is_translated() -> None:
    assert translate_error("cannot write a.csv: No space left on device", "zh") == "无法写入 a.csv：磁盘空间不足"
    assert translate_error("Permission denied", "zh") == "没有权限"


def test_english_stays() -> None:
    assert translate_error("there is no file a.csv", "en") == "there is no file a.csv"
