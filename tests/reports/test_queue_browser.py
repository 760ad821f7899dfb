"""The queue's page in a real Chromium; without one the tests are skipped, and say so (`make browser`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from chromium import BROWSER, open_browser
from ordervet.reports.queue_page import build_queue_page, build_request_page
from queue_makers import HOSTILE, make_hostile_queue, make_order, make_queue, make_request_queue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chromium import Tab
    from ordervet.reports.queue import Queue

pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here; `make browser` wants one")


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with open_browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab
        assert tab.faults == []
        assert [url for url in tab.requests if not url.startswith(("file:", "data:,"))] == []


def show(tab: Tab, folder: Path, queue: Queue, lang: str = "zh", *, width: int = 1280) -> None:
    path = folder / "queue.html"
    path.write_text(build_queue_page(queue, lang=lang), encoding="utf-8")
    tab.open(path, width=width)


def ids(tab: Tab) -> list[str]:
    return tab.run("[...document.querySelectorAll('.row .id')].map(e => e.textContent)")


def count(tab: Tab) -> str:
    return tab.run("document.getElementById('count').textContent")


def opened(tab: Tab) -> str:
    return tab.run("document.querySelector('#card h2').textContent")


def change(tab: Tab, name: str, value: str, event: str) -> None:
    control = f"const e = document.getElementById('{name}'); e.value = {json.dumps(value)}"
    tab.run(f"{{{control}; e.dispatchEvent(new Event('{event}'));}}")


def choose(tab: Tab, name: str, value: str) -> None:
    change(tab, name, value, "change")


def search(tab: Tab, text: str) -> None:
    change(tab, "search", text, "input")


def test_page_filters_searches_and_sorts(tab: Tab, tmp_path: Path) -> None:
    show(tab, tmp_path, make_queue(60))

    assert count(tab) == "60 / 60 单"
    choose(tab, "channel", "0")
    assert ids(tab) == [f"t{number:06d}" for number in range(0, 60, 4)]
    choose(tab, "channel", "")
    choose(tab, "kind", "0")
    assert count(tab) == "4 / 60 单"
    choose(tab, "kind", "")
    tab.run("document.querySelector('[data-band=severe]').click()")
    assert count(tab) == "40 / 60 单"
    tab.run("document.querySelector('[data-band=severe]').click()")
    choose(tab, "sort", "amount")
    assert ids(tab)[:2] == ["t000059", "t000058"]
    search(tab, "T00001 有 6 个")
    assert count(tab) == "10 / 60 单"
    search(tab, "no such thing")
    assert (count(tab), ids(tab)) == ("0 / 60 单", [])


def test_page_is_worked_with_the_keyboard(tab: Tab, tmp_path: Path) -> None:
    show(tab, tmp_path, make_queue(60))
    tab.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])

    seen = [opened(tab)]
    for key in ("j", "j", "k"):
        tab.press(key)
        seen.append(opened(tab))
    assert seen == ["t000000", "t000001", "t000002", "t000001"]
    tab.press("/")
    assert tab.run("document.activeElement.id") == "search"
    tab.press("7")
    assert tab.run("document.getElementById('search').value") == "7"
    tab.press("Escape")
    assert (count(tab), tab.run("document.activeElement.id")) == ("60 / 60 单", "search")
    tab.press("Escape")
    tab.press("Enter")
    assert tab.run("document.activeElement.id") == "card"
    tab.press("l")
    assert tab.run("document.title") == "Orders to review"
    assert "different buyers ordered" in tab.run("document.getElementById('card').textContent")
    tab.press("c")
    assert tab.run("navigator.clipboard.readText()") == tab.run("document.querySelectorAll('.say p')[0].textContent")
    assert tab.run("document.getElementById('toast').textContent") == "Copied"


def test_page_shows_reasons_links_and_a_filled_script(tab: Tab, tmp_path: Path) -> None:
    show(tab, tmp_path, make_queue(12))

    widths = tab.run("[...document.querySelectorAll('.bar div')].map(e => parseFloat(e.style.width))")
    links = tab.run("[...document.querySelectorAll('#card summary')].map(e => e.textContent)")
    said = tab.run("[...document.querySelectorAll('.say p')].map(e => e.textContent)")

    assert "交给：legal" in tab.run("document.getElementById('card').textContent")
    assert widths[0] == 100
    assert widths == sorted(widths, reverse=True)
    assert [text.split("：")[1] for text in links] == ["3 单，3 位买家", "2 单，2 位买家"]
    assert len(said) == 2
    assert any("t000000" in text for text in said)
    assert not any("{" in text or "\ue000" in text for text in said)
    tab.run("document.querySelector('#card .go').click()")
    assert opened(tab) != "t000000"


def test_screen_reader_is_told_the_active_order_and_its_place(tab: Tab, tmp_path: Path) -> None:
    show(tab, tmp_path, make_queue(300), "en")
    active = "document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))"

    tab.press("j")
    second = tab.run(f"[{active}.getAttribute('aria-posinset'), {active}.getAttribute('aria-selected')].join()")
    tab.press("End")

    assert second == "2,true"
    assert tab.run(f"{active}.getAttribute('aria-posinset') + '/' + {active}.getAttribute('aria-setsize')") == "300/300"
    assert tab.run("document.querySelector('.filters').getAttribute('role')") == "search"


def test_order_has_the_whole_screen_of_a_phone(tab: Tab, tmp_path: Path) -> None:
    show(tab, tmp_path, make_queue(30), "zh", width=390)

    tab.press("Enter")
    hidden = tab.run("getComputedStyle(document.querySelector('.filters')).display")
    tab.press("Escape")

    assert hidden == "none"
    assert tab.run("getComputedStyle(document.querySelector('.filters')).display") != "none"
    assert tab.run("document.documentElement.scrollWidth <= 390")


def test_page_of_an_empty_queue_says_so(tab: Tab, tmp_path: Path) -> None:
    show(tab, tmp_path, make_queue(0), "en")

    tab.press("j")
    tab.press("c")
    assert tab.run("document.getElementById('card').textContent") == "No matching orders"
    assert count(tab) == "0 of 0"


def test_printed_list_has_the_reasons_and_no_buttons(tab: Tab, tmp_path: Path) -> None:
    show(tab, tmp_path, make_queue(600))

    tab.run("window.dispatchEvent(new Event('beforeprint'))")
    tab.call("Emulation.setEmulatedMedia", media="print")
    shown = tab.run(
        "['paper', 'list', 'card', 'print'].map(id => document.getElementById(id).getClientRects().length > 0)"
    )
    n_rows = tab.run("document.querySelectorAll('#paper tbody tr').length")
    tab.call("Emulation.setEmulatedMedia", media="")

    assert shown == [True, False, False, False]
    assert n_rows == 500


def test_page_fits_a_narrow_screen(tab: Tab, tmp_path: Path) -> None:
    path = tmp_path / "queue.html"
    path.write_text(build_queue_page(make_queue(30), lang="zh"), encoding="utf-8")
    tab.open(path, width=400)
    is_seen = "['list', 'card'].map(id => document.getElementById(id).getClientRects().length > 0)"

    seen = [tab.run(is_seen)]
    for click in (".row", ".back"):
        tab.run(f"document.querySelector('{click}').click()")
        seen.append(tab.run(is_seen))

    assert seen == [[True, False], [False, True], [True, False]]
    assert tab.run("document.documentElement.scrollWidth") <= 400


def test_hostile_text_is_shown_and_does_nothing(tab: Tab, tmp_path: Path) -> None:
    show(tab, tmp_path, make_hostile_queue(), "en")

    for number, text in enumerate(HOSTILE):
        tab.press("j" if number else "k")
        visible = " ".join(text.translate({0xE000: None, 0xE001: None}).split())
        assert visible in " ".join(tab.run("document.getElementById('card').textContent").split())
    assert tab.run("window.broken") is None
    assert tab.run("document.querySelectorAll('img, svg, iframe, a[href]').length") == 0


def test_long_queue_draws_only_the_rows_that_are_seen(tab: Tab, tmp_path: Path) -> None:
    show(tab, tmp_path, make_queue(2_000, orders=[make_order(number, phone=None) for number in range(2_000)]))

    search(tab, "t0019")

    assert count(tab) == "100 / 2,000 单"
    assert tab.run("document.querySelectorAll('.row').length") < 60


def test_paper_has_every_order_and_all_that_a_card_folds_up(tab: Tab, tmp_path: Path) -> None:
    show(tab, tmp_path, make_queue(12))
    folded = "document.querySelectorAll('#card details:not([open])').length"
    before = tab.run(folded)

    tab.run("window.dispatchEvent(new Event('beforeprint'))")
    tab.call("Emulation.setEmulatedMedia", media="print")
    seen = tab.run("[...document.querySelectorAll('#paper tbody tr')].filter(row => row.offsetHeight > 0).length")
    hidden = tab.run("getComputedStyle(document.getElementById('list')).display")
    tab.call("Emulation.setEmulatedMedia", media="screen")

    assert before > 0
    assert tab.run(folded) == 0
    assert (seen, hidden) == (12, "none")


def test_page_of_requests_filters_searches_and_copies(tab: Tab, tmp_path: Path) -> None:
    path = tmp_path / "requests.html"
    path.write_text(build_request_page(make_request_queue(44), lang="zh"), encoding="utf-8")
    tab.open(path)
    tab.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])

    assert tab.run("document.title") == "待答复的退款申请"
    assert tab.run("[...document.querySelectorAll('#bands button')].map(e => e.textContent)") == [
        "人工处理 11", "请补凭证 11", "先退货 11", "直接退款 11",
    ]  # fmt: skip
    tab.run("document.querySelector('[data-band=severe]').click()")
    assert (count(tab), opened(tab)) == ("33 / 44 单", "t000001")
    card = tab.run("document.getElementById('card').textContent")
    assert all(text in card for text in ("R1", "9.01 元", "退货退款", "客服名额已满"))
    tab.press("c")
    assert tab.run("navigator.clipboard.readText()") == tab.run("document.querySelectorAll('.say p')[0].textContent")
    assert "t000001" in tab.run("document.querySelectorAll('.say p')[0].textContent")
    search(tab, "R13")
    assert ids(tab) == ["t000013"]
    search(tab, "")
    choose(tab, "sort", "newest")
    assert ids(tab)[0] == "t000043"
    tab.press("l")
    assert tab.run("document.title") == "Refund requests to answer"
    assert "refund at once" in tab.run("document.getElementById('card').textContent")
