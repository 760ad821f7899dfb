"""A verdict, an appeal against it, and what becomes of both."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ordervet.entities import Key
from ordervet.features import FeatureEngine, build_later_events, build_order_events, build_spec
from ordervet.history import History
from ordervet.learn.labels import label_orders
from ordervet.policy import load_registry
from ordervet.words import find_words

if TYPE_CHECKING:
    from pathlib import Path

ORDERS = (
    "order_id,placed_at,amount_minor,buyer_id,phone,address",
    "t1,2025-11-01 20:00:00,1200,buyer-one,19900001111,浙江省杭州市西湖区文三路99号3栋502室",
    "t2,2025-11-20 20:00:00,1300,buyer-one,19900001111,浙江省杭州市西湖区文三路99号3栋502室",
    "t3,2025-11-28 20:00:00,1400,buyer-one,19900001111,浙江省杭州市西湖区文三路99号3栋502室",
)
VERDICTS = ("order_id,verdict,kind,decided_at", "t1,malicious,coupon_farming,2025-11-10 10:00:00")
NAMES = ("buyer__count__malicious__90d", "address__count__malicious__90d", "phone__count__malicious__90d")


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> Key:
    key = Key(bytes(range(16)))
    monkeypatch.setenv("ORDERVET_KEY", key.to_hex())
    return key


@pytest.fixture
def history(ordervet, key: Key, tmp_path: Path) -> Path:
    for name, lines in (("orders.csv", ORDERS), ("verdicts.csv", VERDICTS)):
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert not key.is_ephemeral
    ended = ordervet("ingest", tmp_path / "orders.csv", tmp_path / "verdicts.csv", "--history", tmp_path / "history")
    assert ended.code == 0
    return tmp_path / "history"


def count_verdicts(history: Path, key: Key) -> list[list[float]]:
    """Give what each order saw of malicious verdicts at its buyer, address and phone."""
    spec = build_spec(names=NAMES, use_defaults=False)
    events = History.open(history, key).read()
    features = FeatureEngine(spec).advance(build_order_events(events.orders, spec), build_later_events(events))
    columns = [spec.names.index(name) for name in NAMES]
    return np.nan_to_num(features[:, columns]).tolist()


def test_upheld_appeal_clears_the_keys_of_the_verdict_from_then_on(ordervet, history: Path, key: Key) -> None:
    before = count_verdicts(history, key)

    ended = ordervet("correct", "t1", "--history", history, "--at", "2025-11-25 09:00", "--lang", "en")

    assert before == [[0, 0, 0], [1, 1, 1], [1, 1, 1]]
    assert count_verdicts(history, key) == [[0, 0, 0], [1, 1, 1], [0, 0, 0]]
    assert ended.code == 0
    assert "the appeal is upheld and recorded (2025-11-25T01:00:00Z). Its verdict was malicious." in ended.out


def test_appeal_is_recorded_once(ordervet, history: Path, key: Key) -> None:
    first = ordervet("correct", "t1", "--history", history, "--json").json
    version = History.open(history, key).version

    again = ordervet("correct", "t1", "--history", history, "--json").json

    assert (first["was_corrected_before"], again["was_corrected_before"]) == (False, True)
    assert (first["verdict"], again["corrected_at"]) == ("malicious", first["corrected_at"])
    assert History.open(history, key).version == version
    assert History.open(history, key).read().corrections.num_rows == 1


def test_verdict_after_an_appeal_counts_again_and_can_be_corrected_again(ordervet, history: Path, key: Key) -> None:
    ordervet("correct", "t1", "--history", history, "--at", "2025-11-12")
    later = history.parent / "verdicts-2.csv"
    later.write_text(f"{VERDICTS[0]}\nt1,malicious,scalping,2025-11-15\n", encoding="utf-8")
    ordervet("ingest", later, "--history", history)

    ended = ordervet("correct", "t1", "--history", history, "--at", "2025-11-22", "--json").json

    assert ended["was_corrected_before"] is False
    assert count_verdicts(history, key) == [[0, 0, 0], [1, 1, 1], [0, 0, 0]]


def test_appeal_feeds_the_labels(ordervet, history: Path, key: Key) -> None:
    def label() -> int:
        spec, events = build_spec(names=NAMES, use_defaults=False), History.open(history, key).read()
        orders, later = build_order_events(events.orders, spec), build_later_events(events)
        return int(label_orders(orders, later, as_of=2**60, maturity_us=0)[0])

    before = label()
    ordervet("correct", "t1", "--history", history)

    assert (before, label()) == (1, 0)


def test_order_without_a_verdict_can_be_corrected(ordervet, history: Path) -> None:
    ended = ordervet("correct", "t2", "--history", history, "--lang", "zh")

    assert "申诉成立" in ended.out
    assert "该订单没有判定" in ended.out


@pytest.mark.parametrize(
    ("order_id", "at", "message"),
    [
        ("t9", None, "there is no order t9 in the history"),
        ("t1", "2025-11-05", "--at: the order t1 was placed, or judged, after that time"),
        ("t1", "soon", "--at: got soon, expected a time"),
    ],
)
def test_wrong_correction_is_one_error_and_writes_nothing(
    ordervet, history: Path, key: Key, order_id: str, at: str | None, message: str
) -> None:
    ended = ordervet("correct", order_id, "--history", history, *(("--at", at) if at else ()))

    assert ended.code == 3
    assert message in ended.err
    assert History.open(history, key).read().corrections.num_rows == 0


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_page_for_the_buyer_says_its_rights_and_no_reason(ordervet, history: Path, models_dir, lang: str) -> None:
    page = history.parent / "page.html"
    common = ("explain", "t3", "--history", history, "--models", models_dir, "--lang", lang)

    ended = ordervet(*common, "--page", page, "--contact", "<b>desk</b> 7x24")
    told = ordervet(*common, "--json").json

    text, words = page.read_text(encoding="utf-8"), find_words("notice", lang)
    assert ended.code == 0
    assert all(words[name] in text for name in ("who_1", "rights_1", "rights_2", "used_account", "used_delivery"))
    assert words["used_device"] not in text
    assert "&lt;b&gt;desk&lt;/b&gt; 7x24" in text
    assert "t3" in text
    names = {spec.name for spec in load_registry().reasons.values() if "_" in spec.name}
    sayings = {reason["text"] for reason in told["reasons"]}
    body = re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
    assert not any(each in body for each in sayings | names)
    assert not re.search(r"\bR\d{3}\b|恶意|羊毛|malic|fraud|suspec|嫌疑|风险分|risk score", body)
    assert "buyer-one" not in text


def test_page_does_not_say_what_is_unused_where_the_shop_has_added_columns(
    ordervet, models_dir, tmp_path: Path
) -> None:
    orders = tmp_path / "orders.csv"
    orders.write_text("order_id,placed_at,amount_minor,number__weight\nt1,2025-11-01,100,2.5\n", encoding="utf-8")

    ordervet("explain", "t1", orders, "--models", models_dir, "--page", tmp_path / "page.html", "--lang", "en")

    text, words = (tmp_path / "page.html").read_text(encoding="utf-8"), find_words("notice", "en")
    assert words["used_more"] in text
    assert words["kept_2"] not in text
