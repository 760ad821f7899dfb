from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from ordervet.learn.evaluation import TestOrders, evaluate_ranking
from ordervet.learn.rings import Rings
from ordervet.reports.backtest import build_evaluation_tables
from ordervet.reports.backtest_page import build_backtest_page
from ordervet.reports.plots import Line, draw_lines


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    p = rng.beta(0.4, 8, 1_000)
    parts = {
        "channel": rng.choice(["search", "<b>live</b>"], 1_000),
        "kind": rng.choice(["coupon_farming", ""], 1_000),
        "look_alike": rng.choice(["family", ""], 1_000),
    }
    is_malicious = rng.random(1_000) < p
    rings = Rings.of(np.where(is_malicious, np.arange(1_000) // 50, -1), np.arange(1_000), np.arange(1_000) % 2 == 0)
    tested = TestOrders(
        np.log(p), p, is_malicious, np.full(1_000, 12_345), np.arange(1_000) // 100, np.arange(1_000), parts, rings
    )
    judged = evaluate_ranking(tested, capacity=5)
    change = {"value": -0.02, "low": -0.03, "high": -0.01}
    return {
        "split": "newest 20 %",
        "n_features": 135,
        "is_simulated": True,
        "currency": "EUR",
        "evaluation": judged,
        "baseline": judged,
        "ablation": [{"family": "verdicts", "n_features": 9, "ap_change": change, "recall_change": change}],
    }


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs


@pytest.mark.parametrize(("lang", "warning"), [("zh", "模拟数据"), ("en", "simulated data")])
def test_backtest_page_is_self_contained_and_says_that_the_data_is_simulated(report, lang, warning) -> None:
    page = build_backtest_page(report, lang=lang)

    tags = Tags()
    tags.feed(page)
    assert warning in page
    assert tags.seen.count("svg") == 2
    assert not {"script", "img", "iframe", "b"} & set(tags.seen)
    assert not [value for name, value in tags.attributes if name in {"src", "style", "onclick"}]
    assert "nan" not in re.sub(r"<style>.*</style>", "", page, flags=re.DOTALL).lower().replace("finance", "")


def test_backtest_page_writes_money_in_the_currency_of_the_orders(report) -> None:
    page = build_backtest_page(report, lang="en")

    assert "EUR " in page
    assert "CNY" not in page


def test_backtest_page_keeps_hostile_channel_names_as_text(report) -> None:
    assert "&lt;b&gt;live&lt;/b&gt;" in build_backtest_page(report, lang="en")


def test_backtest_page_works_without_baseline_calibration_and_ablation(report) -> None:
    judged = {key: value for key, value in report["evaluation"].items() if key != "calibration"}
    bare = report | {"evaluation": judged, "baseline": None, "ablation": None, "is_simulated": False}

    page = build_backtest_page(bare, lang="en")

    assert page.count("<svg") == 1
    assert "simulated" not in page


@pytest.mark.parametrize(
    ("lang", "said"), [("en", ("the same by points and rules", "5 a day")), ("zh", ("积分规则", "每天 5 单", "羊毛党"))]
)
def test_evaluation_tables_fit_eighty_columns(report, lang, said) -> None:
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        for title, table in build_evaluation_tables(report, lang):
            console.print(title)
            console.print(table)

    text = capture.get()
    assert "…" not in text
    assert [each for each in said if each not in text] == []
    assert max(map(cell_len, text.splitlines())) <= 80
    assert "-0.020 [-0.030, -0.010]" in text


def test_plot_draws_points_beyond_the_axes_at_the_edge() -> None:
    drawn = draw_lines([Line("a", [0.0, 2.0], [0.0, 5.0])], x_title="x", y_title="y", alt="plot")

    assert 'points="46.0,240.0 396.0,12.0"' in drawn
