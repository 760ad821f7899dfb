"""Conditions: typed, safe, for a batch what rule-engine gives row by row, and never true of what is not known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import rule_engine
from hypothesis import assume, given
from hypothesis import strategies as st

from ordervet.policy.rules import MAX_LENGTH, find_type, parse_expression

CHANNELS = ("live", "app", "search")
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")


@st.composite
def numbers(draw: st.DrawFn, depth: int = 2) -> str:
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from(["amount_minor", "quantity", "0", "1", "2", "7"]))
    if draw(st.integers(0, 4)) == 0:
        return f"-({draw(numbers(depth - 1))})"
    return f"({draw(numbers(depth - 1))} {draw(st.sampled_from('+-*'))} {draw(numbers(depth - 1))})"


@st.composite
def conditions(draw: st.DrawFn, depth: int = 3) -> str:
    match draw(st.integers(0, 6 if depth else 3)):
        case 0 | 1:
            return f"{draw(numbers())} {draw(st.sampled_from(COMPARISONS))} {draw(numbers())}"
        case 2:
            return f'channel {draw(st.sampled_from(COMPARISONS))} "{draw(st.sampled_from(CHANNELS))}"'
        case 3:
            return f'channel {draw(st.sampled_from(["in", "not in"]))} ["live", "app"]'
        case 4:
            return f"not ({draw(conditions(depth - 1))})"
        case _:
            joined = draw(st.sampled_from(["and", "or"]))
            return f"(({draw(conditions(depth - 1))}) {joined} ({draw(conditions(depth - 1))}))"


ROWS = st.lists(
    st.fixed_dictionaries(
        {"amount_minor": st.integers(-3, 8), "quantity": st.integers(-3, 8), "channel": st.sampled_from(CHANNELS)}
    ),
    min_size=1,
    max_size=5,
)


def columns_of(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    numeric = {name: np.array([float(row[name]) for row in rows]) for name in ("amount_minor", "quantity")}
    return numeric | {"channel": np.array([None, *(row["channel"] for row in rows)], object)[1:]}


@given(conditions(), ROWS)
def test_expression_holds_where_rule_engine_says_so_row_by_row(text: str, rows: list[dict[str, Any]]) -> None:
    slow = rule_engine.Rule(text)

    holds = parse_expression(text).holds(columns_of(rows), len(rows))

    assert holds.tolist() == [slow.matches({**row}) for row in rows]


MISSING_ROWS = st.fixed_dictionaries(
    {
        "amount_minor": st.sampled_from([math.nan, None, -3.0, 0.0, 1.0, 8.0]),
        "quantity": st.sampled_from([math.nan, None, 0.0, 1.0, 2.0, 1e308]),
        "channel": st.sampled_from([None, *CHANNELS]),
    }
)


@given(conditions(), MISSING_ROWS)
def test_expression_holds_for_one_order_as_for_a_batch_of_one(text: str, row: dict[str, Any]) -> None:
    numeric = {name: row[name] for name in ("amount_minor", "quantity") if row[name] is not None}
    columns = {name: np.array([value]) for name, value in numeric.items()}
    text = text.replace("*", "/") if row["quantity"] == 0.0 else text
    try:
        expression = parse_expression(text)
    except ValueError as error:
        assume("arithmetic error" not in str(error))  # a constant divided by one that is 0
        raise

    holds = expression.holds(columns | {"channel": np.array([row["channel"], None], object)[:1]}, 1)

    assert expression.holds_for(row.get) == holds[0]


@given(conditions(), st.data())
def test_expression_certain_of_an_unknown_value_is_certain_of_any_value(text: str, data: st.DataObject) -> None:
    row = data.draw(ROWS)[0]
    unknown = data.draw(st.sampled_from(["amount_minor", "quantity", "channel"]))
    hidden = {**row, unknown: None if unknown == "channel" else math.nan}
    columns = columns_of([hidden])

    is_certain = bool(parse_expression(text).holds(columns, 1)[0])

    guesses = CHANNELS if unknown == "channel" else range(-3, 9)
    if is_certain:
        assert all(parse_expression(text).holds(columns_of([{**row, unknown: guess}]), 1)[0] for guess in guesses)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("amount_minor > 5", [False, True, False]),
        ("not amount_minor > 5", [True, False, False]),
        ("amount_minor > 5 or quantity == 1", [True, True, True]),
        ("amount_minor > 5 and quantity == 1", [False, True, False]),
        ("amount_minor / (quantity - 1) > 0", [False, False, False]),
        ('channel == "live"', [True, False, False]),
        ('channel != "live"', [False, True, False]),
        ('channel not in ["app"]', [True, False, False]),
        ("buyer__count__order__90d == 0", [False, False, False]),
        ("1 < 2", [True, True, True]),
    ],
)
def test_expression_is_true_only_of_what_is_known(text: str, expected: list[bool]) -> None:
    columns = {
        "amount_minor": np.array([5.0, 6.0, math.nan]),
        "quantity": np.array([1.0, 1.0, 1.0]),
        "channel": np.array(["live", "app", None], object),
    }

    assert parse_expression(text).holds(columns, 3).tolist() == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read"),
        ("amount_minor >", "cannot be read"),
        ("amount_minor", "expected a condition"),
        ("amount_minor and true", "where a condition is expected"),
        ("amount_mino > 1", "did you mean 'amount_minor'"),
        ("buyer__count__ordr__90d > 1", "neither an order field nor a feature"),
        ("p_malicious < 0.1", "neither an order field nor a feature"),
        ('amount_minor > "a"', "has operands that do not fit"),
        ("channel == 1", "different kinds"),
        ("amount_minor == null", "different kinds"),
        ('channel in ["a", 1]', "different kinds"),
        ("amount_minor in []", "empty list"),
        ("amount_minor in [1, quantity]", "more than numbers and texts"),
        ("amount_minor ** 9 > 1", r"is not allowed in a condition: \*\*"),
        ("9 ** 9 ** 9 ** 9 > amount_minor", r"is not allowed in a condition: \*\*"),
        ("1e999999 > amount_minor", "an infinite number"),
        ('channel =~ "(a+)+$"', "is not allowed in a condition: =~"),
        ("channel.length > 1", "is not allowed in a condition: getattribute"),
        ("$range(1000000000) == 1", "."),
        ("[x for x in $range(1000000000)] == [1]", "is not allowed in a condition: comprehension"),
        ("__import__('os')", "neither an order field nor a feature"),
        ("amount_minor.__class__ == 1", "cannot be read|do not fit|not allowed"),
        ("amount_minor > 1 ? true : false", "is not allowed in a condition: ternary"),
        ("amount_minor > 1 " + "or amount_minor > 1 " * 100, f"at most {MAX_LENGTH}"),
    ],
)
def test_expression_refuses_what_is_no_condition(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_expression(text)


def test_expression_names_what_it_reads() -> None:
    expression = parse_expression('terminal__count__order__7d > 3 and channel == "live" and order__number__pages > 1')

    assert expression.names == ("channel", "order__number__pages", "terminal__count__order__7d")
    assert [find_type(name) for name in expression.names] == ["text", "number", "number"]
