from __future__ import annotations

import csv
from pathlib import Path

import pytest

from ordervet.contract import describe_file, read_counted_events, validate_orders
from ordervet.errors import ContractError

EXPORTS = Path(__file__).parent / "exports"
SITES = {
    "shopee_orders.csv": ("Country", "PH"),
    "lazada_orders.csv": ("shippingCountry", "Philippines"),
    "tiktok_orders.csv": ("Country", "Singapore"),
}


def write_variant(tmp_path: Path, name: str, column: str, value: str | None) -> Path:
    """Write an export with one column filled with a value, or without the column."""
    with (EXPORTS / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    at = rows[0].index(column)
    for row in rows[1:]:
        row[at] = value or ""
    if value is None:
        rows = [row[:at] + row[at + 1 :] for row in rows]
    path = tmp_path / name
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def read_currencies(path: Path, currency: str | None = None) -> set[str]:
    return set(read_counted_events([path], currency=currency)[0].orders["currency"].to_pylist())


@pytest.mark.parametrize("name", SITES)
@pytest.mark.parametrize(
    ("country", "currency"),
    [
        ("Singapore", "SGD"),
        ("MY", "MYR"),
        ("indonesia", "IDR"),
        ("ประเทศไทย", "THB"),
        ("Viet Nam", "VND"),
        ("Atlantis", "XXX"),
    ],
)
def test_the_currency_is_that_of_the_country_of_the_site(
    tmp_path: Path, name: str, country: str, currency: str
) -> None:
    path = write_variant(tmp_path, name, SITES[name][0], country)

    assert read_currencies(path) == {currency}


@pytest.mark.parametrize("name", SITES)
@pytest.mark.parametrize("value", [None, ""])
def test_a_currency_that_no_column_tells_is_unknown_unless_it_is_named(
    tmp_path: Path, name: str, value: str | None
) -> None:
    path = write_variant(tmp_path, name, SITES[name][0], value)

    assert read_currencies(path) == {"XXX"}
    assert read_currencies(path, "MYR") == {"MYR"}
    assert describe_file(path).content.currencies.keys() == {"XXX"}


def test_amounts_have_the_decimals_of_the_currency_that_is_named(tmp_path: Path) -> None:
    path = write_variant(tmp_path, "shopee_orders.csv", "Country", "")

    plain, dong = (read_counted_events([path], currency=code)[0].orders for code in ("PHP", "VND"))

    assert plain["amount_minor"].to_pylist() == [100 * amount for amount in dong["amount_minor"].to_pylist()]


@pytest.mark.parametrize(
    ("mark", "currency"),
    [
        ("${}", "USD"),
        ("€{}", "EUR"),
        ("{} €", "EUR"),
        ("£{}", "GBP"),
        ("US ${}", "USD"),
        ("AU ${}", "AUD"),
        ("{}", "XXX"),
    ],
)
def test_the_sign_of_an_amount_is_its_currency(tmp_path: Path, mark: str, currency: str) -> None:
    path = write_variant(tmp_path, "magento_orders.csv", "Grand Total (Purchased)", mark.format("115.00"))

    orders = read_counted_events([path])[0].orders

    assert set(orders["currency"].to_pylist()) == {currency}
    assert set(orders["amount_minor"].to_pylist()) == {11500}


def test_files_in_contract_columns_take_the_currency_that_is_named(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("order_id,placed_at,amount_minor,currency\nA,2025-11-11 20:00,100,\nB,2025-11-11 20:00,100,usd\n")

    assert read_counted_events([path], currency="EUR")[0].orders["currency"].to_pylist() == ["EUR", "USD"]
    assert read_counted_events([path])[0].orders["currency"].to_pylist() == ["CNY", "USD"]


@pytest.mark.parametrize("currency", ["euro", "eur", "", "€", "EUX"])
def test_a_currency_that_is_none_is_refused(currency: str) -> None:
    with pytest.raises(ContractError, match="there is no currency"):
        read_counted_events([EXPORTS / "shopee_orders.csv"], currency=currency)


def test_a_chinese_export_is_in_yuan() -> None:
    assert read_currencies(EXPORTS / "tmall_orders_old.csv") == {"CNY"}
    assert validate_orders([{"order_id": "A", "placed_at": "2025-11-11", "amount_minor": 1}])[
        "currency"
    ].to_pylist() == ["CNY"]
