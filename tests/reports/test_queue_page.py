"""The queue's page as text; what a browser makes of it is in test_browser.py."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ordervet.contract import read_table
from ordervet.policy import explain_applied
from ordervet.reports.page import embed_json
from ordervet.reports.queue_book import write_request_book
from ordervet.reports.queue_page import build_queue_page, build_request_page
from queue_makers import HOSTILE, make_hostile_queue, make_queue, make_request_queue

if TYPE_CHECKING:
    from pathlib import Path


def find_data(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def hash_of(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_page_allows_nothing_but_its_own_style_and_script(lang: str) -> None:
    page = build_queue_page(make_queue(5), lang=lang)

    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1].replace("&#39;", "'")
    style, script = (re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL) for tag in ("style", "script"))
    assert policy == (
        f"default-src 'none'; style-src '{hash_of(style[0])}'; script-src '{hash_of(script[0])}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    assert (len(style), len(script)) == (1, 1)
    assert not re.search(r"https?:|//[a-z]|url\(|@import|<(iframe|object|embed|base|form)\b", page.replace("// ", ""))
    assert not re.search(r"\son[a-z]+=|style=|innerHTML|insertAdjacentHTML|document\.write|eval\(", page)


def test_page_carries_every_order_and_both_languages() -> None:
    queue = make_queue(30)

    data = find_data(build_queue_page(queue, lang="zh"))

    assert data["order_id"] == [item.decision.order_id for item in queue.items]
    assert all(len(data[name]) == 30 for name in ("p", "band", "kind", "stage", "reasons", "script", "groups_of"))
    assert {len(reasons) for reasons in data["reasons"]} == {3}
    assert data["texts"][data["reasons"][0][0][2]] == {
        "zh": "该收货地址近 7 天有 6 个不同买家下单",
        "en": "This delivery address: 6 different buyers ordered in the last 7 days",
    }
    assert set(data["words"]["zh"]) == set(data["words"]["en"])


def test_page_says_whom_a_person_trusts() -> None:
    queue = make_queue(2)
    first, second = queue.items
    said = {lang: (explain_applied("trust_granted", lang),) for lang in ("zh", "en")}

    data = find_data(build_queue_page(replace(queue, items=[replace(first, applied=said), second]), lang="en"))

    assert [data["texts"][at]["en"] for at in data["applied"][0]] == ["a trusted buyer: a person says so"]


def test_page_names_nobody() -> None:
    page = build_queue_page(make_queue(9), lang="en")

    assert "文三路" not in page
    assert "1550000" not in page
    assert '"b1"' not in page


def test_page_keeps_hostile_text_out_of_its_markup() -> None:
    page = build_queue_page(make_hostile_queue(), lang="en")

    markup = re.sub(r'(id="data">).*?(</script>)', r"\1\2", page, flags=re.DOTALL)
    assert "window.broken" not in markup
    assert page.count("</script>") == 2
    assert find_data(page)["category"][0] == HOSTILE[0]


def test_embedded_json_says_the_same_without_signs_of_html() -> None:
    data = {"a": [*HOSTILE, "x\"&'<>"], "n": 1.5, "none": None}

    text = embed_json(data)

    assert json.loads(text) == data
    assert not set("<>&'\u2028\u2029") & set(text)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_page_of_requests_carries_every_request_and_both_languages(lang: str) -> None:
    queue = make_request_queue(30)

    page = build_request_page(queue, lang=lang)
    data = find_data(page)

    assert data["order_id"] == [item.decision.order_id for item in queue.items]
    assert [data["actions"][at]["en"] for at in data["action"][::8]] == [
        "a person decides", "ask for pictures", "goods first", "refund at once",
    ]  # fmt: skip
    assert data["facts"]["first"] == "2025-11-14 20:00"
    assert set(data["words"]["zh"]) == set(data["words"]["en"])
    unknown = data["order_id"].index("t000000")
    assert (data["placed_at"][unknown], data["amount"][unknown]["zh"]) == ("–", "–")
    told = {name: data["texts"][text][lang] for name, text in data["more"][data["order_id"].index("t000001")]}
    assert told["asked"] == {"zh": "9.01 元", "en": "CNY 9.01"}[lang]
    assert told["request"] == "R1"
    applied = data["texts"][data["applied"][data["order_id"].index("t000001")][0]]["en"]
    assert applied == "a person would decide, but the desk is full"
    assert not re.search(r"文三路|1550000", page)


def test_page_and_book_of_requests_keep_hostile_text_out_of_their_markup(tmp_path: Path) -> None:
    queue = make_request_queue(2 * len(HOSTILE), is_hostile=True)

    page = build_request_page(queue, lang="en")
    write_request_book(queue, tmp_path / "queue.xlsx", lang="en")

    markup = re.sub(r'(id="data">).*?(</script>)', r"\1\2", page, flags=re.DOTALL)
    assert "window.broken" not in markup
    assert page.count("</script>") == 2
    with zipfile.ZipFile(tmp_path / "queue.xlsx") as parts:
        sheets = [parts.read(name).decode() for name in parts.namelist() if "sheet" in name and name.endswith(".xml")]
    assert not any("<f>" in sheet for sheet in sheets)
    assert read_table(tmp_path / "queue.xlsx").num_rows == len(queue.items)


def test_queue_without_requests_is_a_page_and_a_book_too(tmp_path: Path) -> None:
    queue = make_request_queue(0)

    write_request_book(queue, tmp_path / "queue.xlsx", lang="zh")

    assert find_data(build_request_page(queue, lang="zh"))["order_id"] == []
    assert read_table(tmp_path / "queue.xlsx").num_rows == 0
