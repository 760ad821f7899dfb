"""Numbers as a person at the desk reads them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ordervet.words.numbers import FORMS, format_money, format_time, format_window


@pytest.mark.parametrize(
    ("form", "value", "zh", "en"),
    [
        ("number", 6.0, "6", "6"),
        ("number", 120.0, "120", "120"),
        ("number", 1204.0, "1,204", "1,204"),
        ("number", 4.256, "4.26", "4.26"),
        ("number", 4.2, "4.2", "4.2"),
        ("percent", 0.67, "67%", "67%"),
        ("percent", 0.0234, "2.3%", "2.3%"),
        ("percent", 0.0996, "10%", "10%"),
        ("percent", 1.5, "150%", "150%"),
        ("percent", 0.0, "0%", "0%"),
        ("money", 123450.0, "1,234.50 元", "CNY 1,234.50"),
        ("money", 100000.0, "1,000 元", "CNY 1,000.00"),
        ("money", 12_345_678.0, "123,457 元", "CNY 123,457"),
        ("money", 123_456_789.0, "123.5 万元", "CNY 1,234,568"),
        ("seconds", 45.0, "45 秒", "45 s"),
        ("seconds", 89.9, "90 秒", "90 s"),
        ("seconds", 90.0, "2 分钟", "2 min"),
        ("seconds", 5400.0, "2 小时", "2 h"),
        ("seconds", 172800.0, "2 天", "2 days"),
        ("days", 0.01, "14 分钟", "14 min"),
        ("days", 400.0, "400 天", "400 days"),
        ("hour", 0.0, "0 点", "0:00"),
        ("weekday", 6.0, "周日", "Sunday"),
        ("flag", 0.0, "否", "no"),
        ("flag", 1.0, "是", "yes"),
    ],
)
def test_form_writes_a_value_in_both_languages(form: str, value: float, zh: str, en: str) -> None:
    assert (FORMS[form](value, "zh"), FORMS[form](value, "en")) == (zh, en)


@pytest.mark.parametrize(
    ("window", "zh", "en"),
    [
        ("10m", "近 10 分钟", "in the last 10 minutes"),
        ("1h", "近 1 小时", "in the last hour"),
        ("1d", "近 1 天", "in the last day"),
        ("90d", "近 90 天", "in the last 90 days"),
        ("", "", ""),
    ],
)
def test_window_is_written_in_both_languages(window: str, zh: str, en: str) -> None:
    assert (format_window(window, "zh"), format_window(window, "en")) == (zh, en)


def test_money_in_another_currency_names_it_in_both_languages() -> None:
    assert format_money(1250.0, "zh", "EUR") == format_money(1250.0, "en", "EUR") == "EUR 12.50"


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [(15000, "JPY", "JPY 15,000"), (12345, "KWD", "KWD 12.345"), (12345, "EUR", "EUR 123.45"), (0, "VND", "VND 0")],
)
def test_money_has_the_minor_units_of_its_currency(minor: int, currency: str, text: str) -> None:
    assert format_money(minor, "en", currency) == format_money(minor, "zh", currency) == text


def test_time_is_that_of_the_local_clock_with_its_offset() -> None:
    at = datetime(2025, 11, 11, 12, 10, 5, tzinfo=UTC)

    assert format_time(at, "Asia/Shanghai") == "2025-11-11 20:10+08:00"
    assert format_time(at, "America/New_York", timespec="seconds") == "2025-11-11 07:10:05-05:00"
