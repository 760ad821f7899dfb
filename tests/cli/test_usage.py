"""Wrong usage is one message and a hint, in the language of the command."""

from __future__ import annotations

import io
import runpy
import sys

import pytest

WRONG = {
    ("score", "--capacty", "5"): ("没有选项 --capacty", "there is no option --capacty", "--capacity"),
    ("score", "orders.csv", "--out"): ("--out 没有给出值", "--out: no value was given", "ordervet score --help"),
    ("score", "orders.csv", "--json=3"): ("--json 不带值", "--json takes no value", "ordervet score --help"),
    ("scoer",): ("没有命令 scoer", "there is no command scoer", "score"),
    ("campaign", "plam"): ("没有命令 plam", "there is no command plam", "plan"),
    ("simulate",): ("缺少选项 --out", "the option --out is missing", "ordervet simulate --help"),
    ("correct", "--history", "h"): ("缺少参数 order_id", "the argument order_id is missing", "ordervet correct --help"),
    ("simulate", "--out", "x", "more"): ("多余的参数：more", "too many arguments: more", "ordervet simulate --help"),
    ("simulate", "--out", "x", "--orders", "12"): (
        "--orders：应不小于 500", "--orders: expected at least 500", "ordervet simulate --help",
    ),
    ("score", "--threads", "900"): (
        "--threads：应不大于 256", "--threads: expected at most 256", "ordervet score --help",
    ),
    ("simulate", "--out", "x", "--orders", "few"): (
        "--orders：应为整数", "--orders: expected a whole number", "ordervet simulate --help",
    ),
    ("campaign", "plan", "--minutes", "few"): (
        "--minutes：应为数字", "--minutes: expected a number", "ordervet campaign plan --help",
    ),
    ("simulate", "--out", "x", "--format", "doc"): (
        "--format：得到 'doc'，应为 'csv', 'parquet' 之一", "--format: got 'doc', expected one of 'csv', 'parquet'",
        "ordervet simulate --help",
    ),
    ("address", "--compare", "x"): (
        "--compare 用第二个地址", "--compare compares a second address", "ordervet address --help",
    ),
    ("backtest", "orders.csv", "--nights", "3"): ("--nights 只与", "--nights takes", "ordervet backtest --help"),
}  # fmt: skip


@pytest.mark.parametrize("arguments", WRONG)
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_wrong_usage_is_one_message_and_a_hint(ordervet, monkeypatch, arguments: tuple[str, ...], lang: str) -> None:
    monkeypatch.setenv("LC_ALL", {"zh": "zh_CN.UTF-8", "en": "C.UTF-8"}[lang])
    zh, en, hint = WRONG[arguments]

    ended = ordervet(*arguments)

    message, *hints = ended.err.splitlines()
    assert (ended.code, ended.out, len(hints)) == (2, "", 1)
    assert message.startswith(f"错误：{zh}" if lang == "zh" else f"error: {en}")
    assert hint in hints[0]
    assert hints[0].startswith("建议：" if lang == "zh" else "hint: ")


def test_wrong_usage_follows_the_option_rather_than_the_locale(ordervet) -> None:
    assert "没有选项 --foo" in ordervet("score", "--lang", "zh", "--foo").err


def test_module_names_itself_as_the_command_does(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["__main__.py", "policy", "--help"])

    with pytest.raises(SystemExit):
        runpy.run_module("ordervet", run_name="__main__")

    assert capsys.readouterr().out.startswith("Usage: ordervet policy ")


def test_question_without_an_answer_ends_as_an_interruption(ordervet, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())

    ended = ordervet("erase", "b1", "--history", tmp_path, "--lang", "zh")

    assert ended.code == 130
    assert ended.err.endswith("已中断；没有写到一半的文件\n")
