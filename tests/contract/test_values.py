from __future__ import annotations

import doctest
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordervet.contract import failures, values
from ordervet.contract.values import (
    is_missing,
    parse_boolean,
    parse_instant,
    parse_integer,
    parse_money,
    parse_number,
    parse_text,
)
from ordervet.errors import ContractError

SHANGHAI_EVENING = datetime(2025, 11, 11, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("module", [values, failures])
def test_examples_in_docstrings_hold(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]

    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(
    "value", [None, float("nan"), np.float64("nan"), Decimal("NaN"), pd.NaT, pd.NA, "", " \t\u3000\ufeff"]
)
def test_is_missing_knows_every_way_of_giving_nothing(value: object) -> None:
    assert is_missing(value)


@pytest.mark.parametrize("value", [0, False, "0", "nan", "-", [], 0.0])
def test_is_missing_takes_nothing_for_missing_that_says_something(value: object) -> None:
    assert not is_missing(value)


@pytest.mark.parametrize(
    ("value", "minor"),
    [
        ("￥1,234.50元", 123450),
        ("¥ 12", 1200),
        ("$-3.1", -310),
        ("-￥3", -300),
        ("+0.07", 7),
        ("1,234,567", 123456700),
        ("12.3000", 1230),
        ("007 元", 700),
        ("CNY 5", 500),
        ("99.99 RMB", 9999),
        ("88,00", 8800),
        ("1,5", 150),
        ("1.234,56", 123456),
        ("-1.234.567,8", -123456780),
        ("1.234.567", 123456700),
        ("1.234,560", 123456),
        ("1 234,56 €", 123456),
        ("1\u202f234,56\u00a0€", 123456),
        ("1\u00a0234", 123400),
        ("1'234.50", 123450),
        ("12,3000", 1230),
        ("1,234", 123400),
        ("EUR 88,00", 8800),
        ("R$ 1.234,56", 123456),
        ("US $12.50", 1250),
        ("NT$1,200", 120000),
        (12, 1200),
        (np.int64(12), 1200),
        (12.34, 1234),
        (5 * 12.33, 6165),
        (0.1 + 0.2, 30),
        (-0.0, 0),
        (Decimal("12.340"), 1234),
        (Decimal("1E+3"), 100000),
    ],
)
def test_parse_money_is_exact(value: object, minor: int) -> None:
    assert parse_money(value) == minor


@pytest.mark.parametrize(
    ("value", "currency", "minor"),
    [
        ("150.000", "IDR", 15_000_000),
        ("Rp150.000", "idr", 15_000_000),
        ("Rp 1.150.000", "IDR", 115_000_000),
        ("150.00", "IDR", 15_000),
        ("150.000 ₫", "VND", 150_000),
        ("-1.500", "CLP", -1_500),
        ("1234", "JPY", 1234),
        ("1,234", "JPY", 1234),
        ("88,00", "JPY", 88),
        ("12,345", "KWD", 12_345_000),
        ("1.012,345", "KWD", 1_012_345),
    ],
)
def test_parse_money_knows_how_a_currency_is_written(value: str, currency: str, minor: int) -> None:
    assert parse_money(value, currency) == minor


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        "1.234",
        "1,23,456",
        "1.234,5678",
        "1234,500",
        "12.34,56",
        "12,34.5",
        ",5",
        "1,2345",
        "--5",
        "-￥-5",
        "1e3",
        ".5",
        "5.",
        "１２",
        "1 234",
        "5元元",
        1.005,
        0.001,
        1000000000000.0,
        float("inf"),
        True,
        None,
        Decimal("0.005"),
        Decimal("Infinity"),
        10**16,
        b"5",
        [5],
    ],
)
def test_parse_money_refuses_what_is_no_exact_amount(value: object) -> None:
    with pytest.raises(ContractError, match="not an amount of money"):
        parse_money(value)


@given(minor=st.integers(-(10**13), 10**13))
def test_parse_money_reads_back_every_amount_however_it_is_written(minor: int) -> None:
    sign, size = "-" if minor < 0 else "", abs(minor)

    whole, cents = size // 100, f"{size % 100:02d}"
    texts = [f"{sign}{whole}.{cents}", f"{sign}￥{whole:,}.{cents}元", f"{sign}{whole},{cents}"]
    texts += [f"{sign}{whole:,}".replace(",", apart) + f",{cents} €" for apart in (".", " ", "\u202f")]

    amounts = [parse_money(each) for each in [*texts, minor / 100, Decimal(minor) / 100]]

    assert amounts == [minor] * len(amounts)


@pytest.mark.parametrize(
    "text",
    [
        "2025-11-11 20:00",
        "2025-11-11T20:00:00",
        "2025/11/11 20:00:00.0",
        " 2025-11-11 20:00:00.000000999 ",
        "2025-11-11T12:00:00Z",
        "2025-11-11 12:00+00:00",
        "2025-11-11 06:30:00 -0530",
        "2025-11-12T02:00:00+14:00",
        "2025年11月11日 20:00:00",
        "2025年11月11日20时00分00秒",
        "2025.11.11 20:00",
        "2025-11-11 下午 8:00:00",
        "2025/11/11 下午08:00:00",
        "2025-11-11 20:0",
        "2025/11/11 8:00:00 PM",
        "2025/11/11 12:00:00 PM +00:00",
        "Nov 11, 2025, 8:00:00 PM",
        "11 Nov 2025 20:00",
        "November 11, 2025 20:00",
        "11-Nov-25 20:00",
    ],
)
def test_parse_instant_reads_the_notations_of_exports(text: str) -> None:
    assert parse_instant(text) == SHANGHAI_EVENING


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        ("2025/1/2 9:05", datetime(2025, 1, 2, 1, 5, tzinfo=UTC)),
        ("2025-01-02", datetime(2025, 1, 1, 16, 0, tzinfo=UTC)),
        (date(2025, 1, 2), datetime(2025, 1, 1, 16, 0, tzinfo=UTC)),
        (datetime(2025, 1, 2), datetime(2025, 1, 1, 16, 0, tzinfo=UTC)),  # noqa: DTZ001 - naive on purpose
        (SHANGHAI_EVENING, SHANGHAI_EVENING),
        (pd.Timestamp("2025-11-11 12:00:00.000000999", tz="UTC"), SHANGHAI_EVENING),
        ("1991-09-15 01:30", datetime(1991, 9, 14, 16, 30, tzinfo=UTC)),  # occurs twice: the earlier, still summer time
    ],
)
def test_parse_instant_reads_naive_values_in_the_zone(value: object, instant: datetime) -> None:
    assert parse_instant(value) == instant


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        "20251111",
        "1762862400",
        "11/11/2025",
        "2025-11-11 24:00",
        "2025-11-11 20:60",
        "2025-11/11",
        "2025-11.11",
        "2025年11-11",
        "Nov 31, 2025",
        "Foo 11, 2025",
        "2025-11-11 下午",
        "2025-02-29",
        "2025-11-11 20:00+15:00",
        "2025-11-11 20:00+08:60",
        "2025-11-11Z",
        "２０２５-11-11",
        "0001-01-01",
        "1989-12-31 23:59Z",
        "2101-01-01 00:00Z",
        "9999-12-31 23:59:59-14:00",
        20251111,
        1700000000.0,
        True,
        None,
        b"2025-11-11",
    ],
)
def test_parse_instant_refuses_what_is_no_instant(value: object) -> None:
    with pytest.raises(ContractError):
        parse_instant(value)


def test_parse_instant_refuses_a_local_time_that_the_clock_skips() -> None:
    with pytest.raises(ContractError, match="does not exist"):
        parse_instant("2025-03-09 02:30", "America/New_York")


def test_parse_instant_names_the_zone_that_does_not_exist() -> None:
    with pytest.raises(ContractError, match="no time zone 'Asia/Atlantis'"):
        parse_instant("2025-03-09 02:30", "Asia/Atlantis")


@pytest.mark.parametrize(
    ("value", "text"), [(" a\u200b", "a"), (7, "7"), (7.0, "7"), (np.int8(7), "7"), (Decimal(7), "7")]
)
def test_parse_text_takes_texts_and_whole_numbers(value: object, text: str) -> None:
    assert parse_text(value) == text


@pytest.mark.parametrize("value", [True, np.True_, 1.5, 2.0**53, b"a", [], date(2025, 1, 1)])
def test_parse_text_refuses_everything_else(value: object) -> None:
    with pytest.raises(ContractError, match="not a text"):
        parse_text(value)


@pytest.mark.parametrize(
    "value", ["1.0", "1_000", "1,000", "0x1", "１", "9" * 19, "", True, 1.5, 2.0**53, float("inf")]
)
def test_parse_integer_refuses_what_is_no_whole_number(value: object) -> None:
    with pytest.raises(ContractError, match="not a whole number"):
        parse_integer(value)


@pytest.mark.parametrize("value", ["nan", "inf", "1,5", "1e999", "", True, float("inf"), 10**400, Decimal("Infinity")])
def test_parse_number_refuses_what_is_not_finite(value: object) -> None:
    with pytest.raises(ContractError, match="not a finite number"):
        parse_number(value)


@pytest.mark.parametrize("value", [True, 1, 1.0, " YES", "True", "1", "是", np.True_])
def test_parse_boolean_reads_yes(value: object) -> None:
    assert parse_boolean(value) is True


@pytest.mark.parametrize("value", ["t", "on", "2", 2, -1, 0.5, "", []])
def test_parse_boolean_refuses_everything_else(value: object) -> None:
    with pytest.raises(ContractError, match="not a yes or no"):
        parse_boolean(value)
