"""The vectorised answer equals the model's, row by row, on every rule and for columns of many Arrow types."""

# ruff: noqa: DTZ001 - naive times are what is tested
from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ordervet.contract.columns import find_currencies, read_column, read_money
from ordervet.contract.fields import broken_rules
from ordervet.contract.model import EXTRA_PREFIXES
from ordervet.contract.schemas import MODELS, table_fields
from ordervet.contract.tables import split_events
from ordervet.contract.tabular import column_of, to_arrow
from ordervet.contract.values import (
    TRIMMED,
    is_missing,
    parse_boolean,
    parse_instant,
    parse_integer,
    parse_money,
    parse_number,
    parse_text,
)
from ordervet.errors import ContractError

if TYPE_CHECKING:
    from ordervet.contract.fields import ContractField
    from ordervet.contract.schemas import EventKind

ZONES = ("Asia/Shanghai", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "UTC", "Europe/Lisbon")
PARSERS = {
    "text": parse_text,
    "integer": parse_integer,
    "number": parse_number,
    "boolean": parse_boolean,
    "money": parse_money,
}
EXTRAS = ("entity__terminal", "number__weight", "category__browser")

digits = st.text("0123456789", min_size=1, max_size=20)
number_texts = st.from_regex(r"[+-]?[0-9]{0,20}(\.[0-9]{0,4})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
money_texts = st.from_regex(
    r"[+-]?[￥¥$]?[+-]?([0-9]{1,4}(,[0-9]{2,3}){0,3}|[0-9]{1,17})(\.[0-9]{0,5}0{0,3})? ?(元|RMB)?", fullmatch=True
) | st.from_regex(
    r"[+-]?(Rp|EUR|R\$)? ?[+-]?([0-9]{1,4}([. '\u00a0][0-9]{2,3}){0,3}|[0-9]{1,17})([,.][0-9]{0,5}0{0,3})? ?(€|kr)?",
    fullmatch=True,
)
instant_texts = st.from_regex(
    r"(19[89][0-9]|20[0-9]{2}|2100|2101|[0-9]{4})[-/][0-3]?[0-9][-/][0-3]?[0-9]"
    r"([ T][0-2]?[0-9]:[0-6][0-9](:[0-6][0-9](\.[0-9]{0,10})?)?(Z| ?[+-][01][0-9]:?[0-6][0-9])?)?",
    fullmatch=True,
)
real_texts = st.datetimes(datetime(1989, 12, 1), datetime(2101, 2, 1)).map(lambda at: at.isoformat(sep=" "))
loose_texts = st.builds(
    "{}{}{}{}{}{} {}{}:{}{}".format,
    st.integers(1989, 2102),
    st.sampled_from("-/.年"),
    st.integers(0, 13),
    st.sampled_from("-/.月"),
    st.integers(0, 32),
    st.sampled_from(["", "日"]),
    st.sampled_from(["", "上午", "下午 ", "PM "]),
    st.integers(0, 25),
    st.integers(0, 61),
    st.sampled_from(["", ":5", " pm", "分", " AM +08:00"]),
)
hostile = [
    "",
    " ",
    "\u3000\ufeff",
    "true",
    "TRUE",
    "No",
    "是",
    "否",
    "0",
    "1",
    "2",
    "nan",
    "inf",
    "-0",
    "0x1F",
    "１２",
    "١٢",
]
codes = ["CNY", "cny", "claim", "Claim", "refund_requested", "refund_only", "malicious", "scalping", "desk", "seller"]
times = ["1991-04-14 00:30", "1991-09-15 00:30:00.9999999", "2024-02-29", "2023-02-29", "2025-03-09 02:30"]
lengths = ["x" * 32, "x" * 33, "字" * 64, "x" * 65, "x" * 128, "字" * 129, "y" * 512, "y" * 513, "😀" * 65]
words = st.sampled_from([*hostile, *codes, *times, *lengths])
texts = st.one_of(words, st.text(max_size=12), digits, number_texts, money_texts, instant_texts, real_texts)
padded = st.tuples(st.text(TRIMMED, max_size=2), texts, st.text(TRIMMED, max_size=2)).map("".join)
bounds = st.sampled_from([10**6, 10**6 + 1, 10**13, 10**13 + 1])
whole = st.one_of(st.integers(-2, 12), bounds, st.integers(-(2**63), 2**63 - 1))
hundredths = st.integers(-(10**6), 10**6).map(lambda minor: minor / 100)
floats = st.one_of(st.floats(), whole.map(float), hundredths, st.sampled_from([2.0**53, 2.0**53 - 1]))
decimals = st.decimals(places=3, min_value=-(10**15), max_value=10**15) | hundredths.map(lambda x: Decimal(f"{x:.2f}"))
at_the_bounds = st.sampled_from([datetime(1990, 1, 1), datetime(2100, 12, 31, 23, 59), datetime(2101, 1, 1, 7)])
naive = st.one_of(st.datetimes(), st.datetimes(datetime(1989, 12, 30), datetime(1992, 1, 1)), at_the_bounds)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
far = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29))
aware = st.builds(lambda at, offset: at.replace(tzinfo=offset), far | at_the_bounds, offsets)
others = st.sampled_from([b"bytes", [1], {"a": 1}, object, float("nan"), None, "\ud800"])
anything = st.one_of(padded, whole, st.integers(), floats, decimals, naive, aware, st.dates(), st.booleans(), others)
near = st.datetimes(datetime(1989, 12, 30), datetime(2101, 1, 3))

COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "string": (pa.string(), padded),
    "large_string": (pa.large_string(), padded),
    "string_view": (pa.string_view(), padded),
    "int8": (pa.int8(), st.integers(-(2**7), 2**7 - 1)),
    "int64": (pa.int64(), whole),
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "float16": (pa.float16(), st.floats(width=16)),
    "float32": (pa.float32(), st.floats(width=32)),
    "float64": (pa.float64(), floats),
    "decimal128": (pa.decimal128(38, 3), decimals),
    "bool": (pa.bool_(), st.booleans()),
    "timestamp_s": (pa.timestamp("s"), near.map(lambda at: at.replace(microsecond=0))),
    "timestamp_ms_zone": (pa.timestamp("ms", tz="Asia/Tokyo"), aware.map(lambda at: at.replace(microsecond=0))),
    "timestamp_us": (pa.timestamp("us"), naive),
    "timestamp_us_zone": (pa.timestamp("us", tz="UTC"), aware),
    "timestamp_ns": (pa.timestamp("ns"), near),
    "date32": (pa.date32(), st.dates()),
    "date64": (pa.date64(), st.dates()),
    "binary": (pa.binary(), st.binary(max_size=3)),
    "list": (pa.list_(pa.int64()), st.lists(st.integers(0, 3), max_size=2)),
    "null": (pa.null(), st.none()),
}


@st.composite
def arrow_columns(draw: st.DrawFn, n_rows: int) -> pa.Array:
    """Draw a column of some Arrow type, sometimes dictionary-encoded, of mixed objects, or a slice of a longer one."""
    form = draw(st.sampled_from(["typed", "typed", "dictionary", "mixed", "slice"]))
    if form == "mixed":
        return column_of(draw(st.lists(anything, min_size=n_rows, max_size=n_rows)))
    names = ["string", "int64", "float64", "timestamp_us"] if form == "dictionary" else sorted(COLUMNS)
    arrow_type, values = COLUMNS[draw(st.sampled_from(names))]
    extra = 2 if form == "slice" else 0
    column = pa.array(draw(st.lists(st.none() | values, min_size=n_rows + extra, max_size=n_rows + extra)), arrow_type)
    if form == "dictionary":
        return column.dictionary_encode()
    return column.slice(1, n_rows) if extra else column


def fitting_values(field: ContractField) -> st.SearchStrategy[Any]:
    """Draw values that a field takes, or nearly: otherwise no row would ever be good."""
    if field.allowed:
        return st.sampled_from([*map(str, field.allowed), "other"])
    bounds = st.integers((field.minimum or 0) - 1, (field.maximum or 0) + 1)
    return {
        "text": st.sampled_from(["A", "B", " C", "CNY", "字" * 64, 7]),
        "integer": bounds | st.integers(1, 9) | st.integers(1, 9).map(str),
        "number": st.floats(-5, 5) | number_texts,
        "boolean": st.sampled_from(["是", "no", True, 0, 1.0]),
        "instant": real_texts | near,
    }[field.kind]


@st.composite
def tables(draw: st.DrawFn, kind: EventKind) -> pa.Table:
    """Draw a table of one kind of event: required columns and some of the others, fitting or hostile."""
    n_rows = draw(st.integers(0, 5))
    columns = {}
    for field in table_fields(kind, EXTRAS):
        if field.is_required or draw(st.booleans()):
            if draw(st.integers(0, 3)):
                values = draw(st.lists(fitting_values(field), min_size=n_rows, max_size=n_rows))
                columns[field.name] = column_of(values)
            else:
                columns[field.name] = draw(arrow_columns(n_rows))
    return pa.table(columns)


def split_row_by_row(kind: EventKind, table: pa.Table, zone: str) -> tuple[list[Any], set[tuple[int, str, str]]]:
    """Give what the models say of each row: the good ones as canonical rows, and what broke."""
    good, broken = [], set()
    repeats = find_repeats(table.to_pylist(), zone) if kind == "orders" else set()
    for number, row in enumerate(table.to_pylist()):
        event, failed = None, []
        try:
            event = MODELS[kind].model_validate(row, context={"time_zone": zone})
        except ValidationError as error:
            failed = broken_rules(error)
        broken |= {(number, _flat_name(name), rule) for name, rule in failed}
        if number in repeats:
            broken.add((number, "order_id", "unique"))
            event = None
        if event is not None:
            good.append(event.to_row())
    return good, broken


def find_repeats(rows: list[dict[str, Any]], zone: str) -> set[int]:
    """Find the rows whose order an earlier one has: the same id and shop, or the same minute where no shop is told."""
    told = [
        [_read_or_none(row, name, zone) for name in ("order_id", "order_uid", "shop_id", "placed_at")] for row in rows
    ]
    names = [(order_id, uid or shop or "") for order_id, uid, shop, _ in told]
    minutes = [placed_at and placed_at.replace(second=0, microsecond=0) for *_, placed_at in told]
    seen: set[tuple[Any, Any]] = set()
    repeats = set()
    for number, (order_id, shop) in enumerate(names):
        if order_id is None:
            continue
        shops = {other for one, other in names if one == order_id}
        same = [
            s for (i, s), m in zip(names, minutes, strict=True) if i == order_id and s and m and m == minutes[number]
        ]
        is_told = shop or len(shops) == 1
        order = (order_id, shop if is_told else same[0] if same else "")
        if order in seen:
            repeats.add(number)
        seen.add(order)
    return repeats


def _read_or_none(row: dict[str, Any], name: str, zone: str) -> Any:
    """Read one field as the model does; None where it is not given, or broken."""
    required = {"order_id": "x", "placed_at": "2025-11-11", "amount_minor": 1}
    try:
        order = MODELS["orders"].model_validate(required | {name: row.get(name)}, context={"time_zone": zone})
    except ValidationError:
        return None
    return getattr(order, name)


def _flat_name(name: str) -> str:
    extras, _, bare = name.partition(".")
    return next((prefix + bare for prefix, field in EXTRA_PREFIXES.items() if field == extras), name)


def given_values(table: pa.Table) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if value is not None} for row in table.to_pylist()]


@pytest.mark.parametrize("kind", sorted(MODELS))
@given(data=st.data(), zone=st.sampled_from(ZONES))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_split_events_agrees_with_the_models_row_by_row(kind: EventKind, data: st.DataObject, zone: str) -> None:
    table = data.draw(tables(kind))

    good, failures = split_events(kind, table, time_zone=zone)

    expected_good, expected_broken = split_row_by_row(kind, table, zone)
    rows = failures.to_pylist()
    assert {(row["row"], row["field"], row["rule"]) for row in rows} == expected_broken
    assert len(rows) == len(expected_broken)
    assert given_values(good) == expected_good


@pytest.mark.parametrize("kind", [*PARSERS, "instant"])
@given(data=st.data(), zone=st.sampled_from(ZONES))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_read_column_agrees_with_the_parser_value_by_value(kind: Any, data: st.DataObject, zone: str) -> None:
    column = data.draw(arrow_columns(data.draw(st.integers(0, 6))))

    read = read_column(column, kind, ZoneInfo(zone))

    for raw, value, is_given in zip(column.to_pylist(), read.values.to_pylist(), read.is_given, strict=True):
        assert is_given == (not is_missing(raw))
        expected = parse_or_none(raw, kind, zone)
        assert (type(value), str(value)) == (type(expected), str(expected))


def parse_or_none(raw: Any, kind: str, zone: str) -> Any:
    """Give what the scalar parser says, in Arrow's terms: int64 bounds, and instants in a ZoneInfo."""
    if is_missing(raw):
        return None
    try:
        value = parse_instant(raw, zone) if kind == "instant" else PARSERS[kind](raw)
    except ContractError:
        return None
    if isinstance(value, datetime):
        return value.astimezone(ZoneInfo("UTC"))
    is_clamped = type(value) is int
    return max(-(2**63), min(2**63 - 1, value)) if is_clamped else value


@given(text=st.one_of(padded, money_texts), rest=st.lists(money_texts, max_size=3))
@example(text="￥1,234.50元", rest=["7"])
@example(text="-0.01", rest=["+￥3", "￥-3"])
@settings(deadline=None)
def test_money_columns_agree_with_parse_money(text: str, rest: list[str]) -> None:
    column = pa.array([text, *rest])

    values = read_column(column, "money", ZoneInfo("UTC")).values.to_pylist()

    assert values == [parse_or_none(raw, "money", "UTC") for raw in column.to_pylist()]


@given(
    text=st.one_of(money_texts, digits),
    rest=st.lists(money_texts, max_size=3),
    codes=st.lists(
        st.sampled_from(["CNY", "jpy", "JPY", "KWD", "clf", "", "EUR", "IDR", "vnd"]), min_size=4, max_size=4
    ),
)
@settings(deadline=None)
def test_money_columns_of_several_currencies_agree_with_parse_money(
    text: str, rest: list[str], codes: list[str]
) -> None:
    column = pa.array([text, *rest])
    codes = codes[: len(column)]

    read = read_money(column, find_currencies(pa.array(codes)), ZoneInfo("UTC"))

    expected = []
    for raw, code in zip(column.to_pylist(), codes, strict=True):
        try:
            expected.append(None if is_missing(raw) else parse_money(raw, code))
        except ContractError:
            expected.append(None)
    assert read.values.to_pylist() == expected


@given(
    text=st.one_of(instant_texts, real_texts, loose_texts),
    rest=st.lists(instant_texts | loose_texts, max_size=3),
    zone=st.sampled_from(ZONES),
)
@settings(deadline=None)
def test_instant_columns_agree_with_parse_instant(text: str, rest: list[str], zone: str) -> None:
    column = pa.array([text, *rest])

    values = read_column(column, "instant", ZoneInfo(zone)).values.to_pylist()

    assert values == [parse_or_none(raw, "instant", zone) for raw in column.to_pylist()]


@pytest.mark.parametrize("zone", ZONES)
def test_instants_around_every_change_of_a_zone_agree_with_the_standard_library(zone: str) -> None:
    start = datetime(1990, 1, 2, tzinfo=UTC)
    days = [start + timedelta(days=n) for n in range(0, 40_000, 1)]
    in_zone = [at.astimezone(ZoneInfo(zone)) for at in days]
    changes = [
        after.replace(tzinfo=None)
        for before, after in itertools.pairwise(in_zone)
        if before.utcoffset() != after.utcoffset()
    ]
    local = [at + timedelta(minutes=30 * n) for at in changes[:60] for n in range(-52, 6)]

    values = read_column(pa.array(local, pa.timestamp("us")), "instant", ZoneInfo(zone)).values.to_pylist()

    assert values == [parse_or_none(at, "instant", zone) for at in local]


def test_rows_of_dicts_and_their_table_give_the_same_answer() -> None:
    rows = [
        {"order_id": 1, "placed_at": date(2025, 11, 11), "amount_minor": "5", "entities": {"terminal": " T "}},
        {"order_id": "2", "placed_at": "x", "amount_minor": True, "numbers": {"weight": "1e3"}},
    ]

    good, failures = split_events("orders", rows)

    again, failures_again = split_events("orders", to_arrow(rows))
    assert good.equals(again)
    assert failures.equals(failures_again)
    assert given_values(good)[0]["entity__terminal"] == "T"


@given(
    moments=st.lists(st.none() | st.datetimes(datetime(1989, 12, 30), datetime(2101, 1, 2)), min_size=1),
    odd=st.sampled_from(
        ["", "2025-02-30 20:00:00", "2025-11-11 24:00:00", "2025-11-11T20:00:00", "2025-11-11 2:00:00 "]
    ),
    zone=st.sampled_from(ZONES),
)
@settings(max_examples=60, deadline=None)
def test_columns_of_plain_times_agree_with_parse_instant(moments: list[datetime | None], odd: str, zone: str) -> None:
    column = pa.array([None if at is None else f"{at:%Y-%m-%d %H:%M:%S}" for at in moments] + [odd] * bool(odd))

    values = read_column(column, "instant", ZoneInfo(zone)).values.to_pylist()

    assert values == [None if raw is None else parse_or_none(raw, "instant", zone) for raw in column.to_pylist()]


BLANKS = st.text(alphabet=TRIMMED + "a王é", max_size=3)


@given(st.lists(st.none() | BLANKS, max_size=6), st.lists(st.booleans(), min_size=6, max_size=6), st.integers(0, 3))
def test_text_column_is_trimmed_as_each_of_its_texts_whatever_lies_under_nulls(
    texts: list[str | None], is_null: list[bool], start: int
) -> None:
    filled = pa.array([text or "" for text in texts], pa.string())
    mask = np.array([text is None or null for text, null in zip(texts, is_null, strict=False)], bool)
    _, offsets, data = filled.buffers()
    bits = pa.py_buffer(np.packbits(~mask, bitorder="little").tobytes())
    column = pa.Array.from_buffers(pa.string(), len(texts), [bits, offsets, data]).slice(start)

    read = read_column(column, "text", ZoneInfo("UTC"))

    expected = [
        None if null else text.strip(TRIMMED) or None for text, null in zip(filled.to_pylist(), mask, strict=True)
    ]
    assert read.values.to_pylist() == expected[start:]
    assert read.is_given.tolist() == [text is not None for text in expected[start:]]
