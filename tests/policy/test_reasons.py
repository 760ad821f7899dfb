"""From contributions to reasons: exact, grouped, at most four, blind to the order of features and rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordervet.errors import PolicyError
from ordervet.policy import (
    Reason,
    assign_reasons,
    describe_reason,
    list_own_history,
    load_registry,
    own_history_log_odds,
)
from ordervet.policy.reasons import MAX_REASONS, MIN_LOG_ODDS, MIN_SHARE

NAMES = (
    "buyer__count__order__10m",
    "buyer__count__order__1d",
    "buyer__count__refund_only__90d",
    "buyer__share__refund_only__90d",
    "buyer__count__malicious__90d",
    "address__distinct__buyer__7d",
    "address__distinct__buyer__30d",
    "item__share__refund_requested__7d",
    "order__value__amount",
    "terminal__share__malicious__30d",
    "extra_one",
    "extra_two",
)
CONTRIBUTIONS = st.floats(-3.0, 3.0) | st.sampled_from([0.0, 0.05, 0.1, 1.0, -1.0])
VALUES = st.floats(0.0, 1e6, width=32) | st.just(math.nan)
ROWS = st.lists(
    st.tuples(
        st.lists(CONTRIBUTIONS, min_size=len(NAMES), max_size=len(NAMES)),
        st.lists(VALUES, min_size=len(NAMES), max_size=len(NAMES)),
    ),
    min_size=1,
    max_size=4,
)


def explain(name: str, value: float, lang: str = "zh") -> str:
    return assign_reasons([name], [[1.0]], [[value]], lang=lang)[0][0].text


def assign_slowly(contributions: list[float]) -> list[tuple[str, float]]:
    """Give codes and sums for one order, in plain Python."""
    sums: dict[str, float] = {}
    for name, contribution in sorted(zip(NAMES, contributions, strict=True)):
        code = load_registry().find_reason(name).code
        sums[code] = sums.get(code, 0.0) + contribution
    total = 0.0
    for code in sorted(sums):
        total += max(sums[code], 0.0)
    least = max(MIN_LOG_ODDS, MIN_SHARE * total)
    ranked = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return [item for item in ranked[:MAX_REASONS] if item[1] >= least]


@given(ROWS)
def test_assign_reasons_equals_its_plain_twin(rows: list) -> None:
    reasons = assign_reasons(NAMES, [row[0] for row in rows], [row[1] for row in rows])

    answers = [[(reason.code, reason.contribution) for reason in order] for order in reasons]
    assert answers == [assign_slowly(row[0]) for row in rows]


@given(st.integers(0, 2**32), st.integers(65, 200))
def test_assign_reasons_of_many_orders_equals_its_plain_twin(seed: int, n_orders: int) -> None:
    drawn = np.random.default_rng(seed)
    contributions = drawn.normal(size=(n_orders, len(NAMES))).round(2)

    reasons = assign_reasons(NAMES, contributions, drawn.random((n_orders, len(NAMES))))

    answers = [[(reason.code, reason.contribution) for reason in order] for order in reasons]
    assert answers == [assign_slowly(row) for row in contributions.tolist()]


@given(ROWS)
def test_own_history_needs_only_the_features_that_are_named(rows: list) -> None:
    contributions = np.array([row[0] for row in rows])
    own = list_own_history(NAMES)

    alone = own_history_log_odds([NAMES[at] for at in own], contributions[:, list(own)])

    np.testing.assert_array_equal(alone, own_history_log_odds(NAMES, contributions))
    assert 0 < len(own) < len(NAMES)


@given(ROWS, st.permutations(range(len(NAMES))))
def test_assign_reasons_does_not_depend_on_the_order_of_features(rows: list, order: list[int]) -> None:
    contributions, values = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])

    plain = assign_reasons(NAMES, contributions, values)
    shuffled = assign_reasons([NAMES[at] for at in order], contributions[:, order], values[:, order])

    assert shuffled == plain


@given(ROWS)
def test_assign_reasons_gives_one_order_what_it_gets_in_a_batch(rows: list) -> None:
    together = assign_reasons(NAMES, [row[0] for row in rows], [row[1] for row in rows])

    assert [assign_reasons(NAMES, [row[0]], [row[1]])[0] for row in rows] == together


@given(ROWS)
def test_every_reason_raises_the_score_by_enough(rows: list) -> None:
    reasons = assign_reasons(NAMES, [row[0] for row in rows], [row[1] for row in rows])

    for order in reasons:
        assert len(order) <= MAX_REASONS
        assert all(reason.contribution >= MIN_LOG_ODDS for reason in order)
        assert [reason.contribution for reason in order] == sorted(
            (reason.contribution for reason in order), reverse=True
        )


def test_contributions_of_one_reason_are_added_up() -> None:
    names = ["address__distinct__buyer__7d", "address__distinct__buyer__30d"]

    (reasons,) = assign_reasons(names, [[0.75, 0.5]], [[6.0, 9.0]])

    assert reasons == [Reason("R121", "address_many_buyers", 1.25, "该收货地址近 7 天有 6 个不同买家下单")]


def test_feature_that_speaks_for_the_buyer_lessens_its_reason() -> None:
    names = ["buyer__count__refund_only__90d", "buyer__share__refund_only__90d"]

    (reasons,) = assign_reasons(names, [[0.5, -0.5]], [[3.0, 0.1]])

    assert reasons == []


def test_equal_contributions_are_ranked_by_code() -> None:
    names = ["item__share__refund_requested__7d", "buyer__count__claim__90d", "address__count__order__1d"]

    (reasons,) = assign_reasons(names, [[1.0, 1.0, 1.0]], [[0.5, 2.0, 3.0]])

    assert [reason.code for reason in reasons] == ["R111", "R122", "R303"]


def test_small_contributions_are_no_reasons() -> None:
    names = ["buyer__count__claim__90d", "address__count__order__1d", "order__value__amount"]

    (large, small) = assign_reasons(names, [[4.0, 0.15, 0.25], [0.04, 0.05, -9.0]], np.ones((2, 3)))

    assert [reason.code for reason in large] == ["R111", "R401"]
    assert [reason.code for reason in small] == ["R122"]


@pytest.mark.parametrize(
    ("name", "value", "zh", "en"),
    [
        (
            "address__distinct__buyer__7d",
            6.0,
            "该收货地址近 7 天有 6 个不同买家下单",
            "This delivery address: 6 different buyers ordered in the last 7 days",
        ),
        ("buyer__recency__order", 180.0, "该买家上一次下单在 3 分钟前", "This buyer: last order 3 min ago"),
        (
            "buyer__sum__amount__1d",
            1_234_550.0,
            "该买家近 1 天订单金额合计 12,345.50 元",
            "This buyer: total amount in the last day CNY 12,345.50",
        ),
        (
            "buyer__ratio__amount__30d",
            4.24,
            "本单订单金额是该买家近 30 天均值的 4.24 倍",
            "This order's amount is 4.24 times the average of this buyer in the last 30 days",
        ),
        (
            "item__share__refund_requested__7d",
            0.155,
            "该商品近 7 天的订单中，16% 申请退款",
            "This item: 16% of orders in the last 7 days led to a refund request",
        ),
        (
            "item__share__refund_requested__7d",
            1.5,
            "该商品近 7 天平均每单申请退款 1.5 次",
            "This item: 1.5 refund requests per order in the last 7 days",
        ),
        (
            "buyer__count__chargeback__30d",
            1.0,
            "该买家近 30 天拒付 1 次",
            "This buyer: 1 chargeback in the last 30 days",
        ),
        (
            "group__share__malicious",
            1.0,
            "关联账号有判定的订单中，100% 被判定恶意",
            "Linked accounts: 100% of judged orders were malicious",
        ),
        (
            "channel__share__malicious__30d",
            0.02,
            "该渠道近 30 天有判定的订单中，2% 被判定恶意",
            "This channel: 2% of judged orders in the last 30 days were malicious",
        ),
        ("order__value__account_age_days", 0.5, "该买家账号注册 12 小时", "This buyer's account is 12 h old"),
        ("order__value__hour", 20.0, "本单下单时段：20 点", "This order: hour of the day 20:00"),
        ("order__value__is_insured", 1.0, "本单运费险：是", "This order: return-freight insurance yes"),
        ("order__number__pages", 2.5, "本单字段“pages”：2.5", "This order: field 'pages' is 2.5"),
        (
            "terminal__count__order__1h",
            1.0,
            "同一“terminal”近 1 小时下单 1 次",
            "The same 'terminal': 1 order in the last hour",
        ),
        ("my_model_input", 3.0, "其他特征 my_model_input：3", "Other feature my_model_input: 3"),
    ],
)
def test_reason_quotes_the_number_as_a_person_reads_it(name: str, value: float, zh: str, en: str) -> None:
    assert (explain(name, value), explain(name, value, "en")) == (zh, en)


@pytest.mark.parametrize(
    ("name", "zh", "en"),
    [
        (
            "address__distinct__buyer__7d",
            "该收货地址信息缺失或暂无记录，无法核对：多个买家共用",
            "This delivery address is unknown or has no record here; not checked: shared by many buyers",
        ),
        (
            "buyer__age__order",
            "店内没有该买家的历史订单，或买家无法识别",
            "This buyer has no earlier orders here, or is unknown",
        ),
        (
            "order__value__quantity",
            "本单没有这项信息，无法核对：购买件数",
            "Not given with this order, so not checked: quantity",
        ),
    ],
)
def test_reason_says_so_when_its_evidence_is_not_known(name: str, zh: str, en: str) -> None:
    assert (explain(name, math.nan), explain(name, math.nan, "en")) == (zh, en)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_reason_is_worded_for_every_statistic(lang: str) -> None:
    registry = load_registry()
    statistics = [name for name in registry.statistics if name != "other"]
    entities, columns = list(registry.entities), list(registry.columns)
    triples = {(entity, each, columns[at % len(columns)]) for at, each in enumerate(statistics) for entity in entities}
    triples |= {
        (entities[at % len(entities)], each, column) for at, each in enumerate(statistics) for column in columns
    }
    triples |= {
        (entity, statistics[at % len(statistics)], column) for at, column in enumerate(columns) for entity in entities
    }
    names = ["__".join([*triple, "30d"]) for triple in triples]

    texts = {explain(name, value, lang) for name in names for value in (2.0, math.nan)}

    assert not [text for text in texts if "{" in text or "  " in text or not text]


@pytest.mark.parametrize("value", [4.0, float("nan")])
def test_reason_can_be_said_in_the_other_language(value: float) -> None:
    names = ["address__distinct__buyer__7d"]
    reasons = {lang: assign_reasons(names, [[1.0]], [[value]], lang=lang)[0][0] for lang in ("zh", "en")}

    said = {lang: describe_reason(reasons["zh"], lang) for lang in ("zh", "en")}

    assert said == {lang: reason.text for lang, reason in reasons.items()}
    assert said["zh"] != said["en"]


def test_own_history_log_odds_counts_the_buyers_own_reasons_only() -> None:
    names = [
        "buyer__count__refund_only__90d",
        "buyer__share__refund_only__90d",
        "buyer__count__claim__90d",
        "buyer__count__malicious__90d",
        "address__distinct__buyer__7d",
        "buyer__count__bad_review__90d",
    ]

    total = own_history_log_odds(names, [[1.0, -0.25, 0.5, 9.0, 9.0, -9.0]])

    assert total.tolist() == [1.25]


def test_assign_reasons_takes_an_empty_batch_and_no_features() -> None:
    assert assign_reasons(NAMES, np.empty((0, len(NAMES))), np.empty((0, len(NAMES)))) == []
    assert assign_reasons([], np.empty((2, 0)), np.empty((2, 0))) == [[], []]
    assert own_history_log_odds([], np.empty((2, 0))).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("names", "contributions", "values", "message"),
    [
        (["a"], [[1.0, 2.0]], [[1.0, 2.0]], r"expected \(n_orders, 1\)"),
        (["a"], [[1.0]], [[1.0], [2.0]], r"values of shape \(2, 1\)"),
        (["a", "a"], [[1.0, 2.0]], [[1.0, 2.0]], "given twice"),
        (["a"], [[math.nan]], [[1.0]], "1 contributions are not finite"),
        (["a"], [[math.inf]], [[1.0]], "1 contributions are not finite"),
    ],
)
def test_assign_reasons_refuses_what_does_not_fit(names: list, contributions: list, values: list, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        assign_reasons(names, contributions, values)
