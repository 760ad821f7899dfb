"""What the service answers over HTTP: the decisions of a scorer, and a clear refusal of everything else."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
from dataclasses import fields
from importlib import resources
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ordervet import Decision, Scorer
from ordervet.history import History
from ordervet.model import find_bundled_models, find_serving_model, load_model
from ordervet.policy import DecisionCode, load_policy
from ordervet.policy.capacity import Capacity
from ordervet.policy.claims import ClaimDecision, ClaimSettings
from ordervet.policy.policy import parse_policy
from ordervet.score.durable_state import DurableState
from ordervet.serve.answers import ClaimDecisionDocument, DecisionDocument
from ordervet.serve.app import MAX_TOGETHER, TokenGuard
from service_makers import KEY, draw_order, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from ordervet.model import Model

OUTCOME = {"event": "outcome", "order_id": "t1", "kind": "refund_requested", "happened_at": "2026-01-16 09:00"}

VERDICT = {"event": "verdict", "order_id": "t1", "verdict": "malicious", "decided_at": "2026-01-17 09:00"}


def clock() -> int:
    return 1_768_500_000_000_000


def ask(scorer: Scorer, talk: Callable[[httpx.AsyncClient], Coroutine[Any, Any, Any]], **limits: Any) -> Any:
    """Serve a scorer while somebody talks to it; return what comes of it."""

    async def run() -> Any:
        async with serving(scorer, **limits) as client:
            return await talk(client)

    return asyncio.run(run())


@pytest.fixture
def scorer(model: Model) -> Scorer:
    policy = parse_policy(
        'protocol = 1\nname = "low"\n[bands]\nby = "explicit"\nelevated = 0.001\nhigh = 0.01\nsevere = 0.2\n'
        '[actions]\nlow = "pass"\nelevated = "review"\nhigh = "confirm"\nsevere = "hold"\n'
    )
    return Scorer(model, policy, KEY, clock=clock, lang="en")


def test_service_answers_what_the_scorer_answers(model: Model, scorer: Scorer) -> None:
    orders = [draw_order(number) for number in range(60)]
    orders[30:30] = [orders[3], {"order_id": "bad"}]

    async def talk(client: httpx.AsyncClient) -> list[Any]:
        one_by_one = [(await client.post("/v1/score", json=order)).json() for order in orders[:10]]
        together = await asyncio.gather(*(client.post("/v1/score", json=order) for order in orders[10:20]))
        return [
            *one_by_one,
            *(each.json() for each in together),
            *(await client.post("/v1/score", json=orders[20:])).json(),
        ]

    served = ask(scorer, talk)

    alone = Scorer(model, scorer.policy, KEY, clock=clock, lang="en")
    assert [Decision.from_dict(each) for each in served] == [alone.score(order) for order in orders]
    assert {each["code"] for each in served} == {"SCORED", "UNSCORED_INVALID_ORDER"}
    assert len({each["action"] for each in served}) > 1


def test_events_sent_twice_count_once_and_show_in_the_next_decision(model: Model, tmp_path: Path) -> None:
    history = History.open(tmp_path / "history", KEY, create=True)
    scorer = Scorer(model, load_policy(), KEY, state=DurableState(history, KEY, model.spec))

    async def talk(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [
            await client.post("/v1/score", json=draw_order(1)),
            await client.post("/v1/events", json=OUTCOME),
            await client.post("/v1/events", json=[OUTCOME, VERDICT]),
            await client.post("/v1/rescore", json={"order_id": "t1"}),
            await client.get("/v1/orders/t1/explanation"),
        ]  # fmt: skip

    first, one, two, again, explained = ask(scorer, talk)

    known = History.open(tmp_path / "history", KEY).read()
    assert (one.json(), two.json()) == ({"n_events": 1}, {"n_events": 2})
    assert (known.outcomes.num_rows, known.verdicts.num_rows, known.orders.num_rows) == (1, 1, 1)
    assert first.json()["code"] == again.json()["code"] == "SCORED"
    assert explained.json()["decision"]["order_id"] == "t1"
    assert explained.json()["parts"]


def test_refund_requests_are_answered_as_the_scorer_answers_them_and_remembered(tmp_path: Path) -> None:
    starter = load_model(find_serving_model(find_bundled_models()))
    history = History.open(tmp_path / "history", KEY, create=True)
    full = ClaimSettings(pay_below=0.0, person_from=0.0, capacity=Capacity(n=0))
    policy = load_policy().model_copy(update={"claims": full})
    scorer = Scorer(starter, policy, KEY, state=DurableState(history, KEY, starter.claim_spec), clock=clock, lang="en")
    alone = Scorer(starter, policy, KEY, clock=clock, lang="en")
    claims: list[Any] = [
        {"order_id": f"t{number}", "happened_at": "2026-01-16 09:00", "refund_type": kind, "amount_minor": 500}
        for number, kind in enumerate(("refund_only", "before_shipping", "return_and_refund"))
    ]
    claims += [{"order_id": "nobody", "happened_at": "2026-01-16"}, {"order_id": "t1", "refund_type": "gift"}, 7]
    claims += [claims[0]]
    for number in range(3):
        scorer.score(draw_order(number))
        alone.score(draw_order(number))

    async def talk(client: httpx.AsyncClient) -> tuple[list[Any], str]:
        one = (await client.post("/v1/claims", json=claims[0])).json()
        return [one, *(await client.post("/v1/claims", json=claims[1:])).json()], (await client.get("/metrics")).text

    served, metrics = ask(scorer, talk)

    assert [ClaimDecision.from_dict(each) for each in served] == [alone.score_claim(claim) for claim in claims]
    assert [each["code"] for each in served] == ["SCORED"] * 3 + ["UNSCORED_INVALID_ORDER"] * 3 + ["SCORED"]
    assert served[-1] == served[0]
    assert [each["applied"][-1] for each in served[:3]] == ["capacity_full", "not_shipped", "capacity_beyond"]
    assert History.open(tmp_path / "history", KEY).read().outcomes.num_rows == 3
    assert 'ordervet_claims_total{code="UNSCORED_INVALID_ORDER",answer="person"} 3' in metrics


def test_payload_of_a_platform_is_remembered(model: Model, tmp_path: Path) -> None:
    history = History.open(tmp_path / "history", KEY, create=True)
    scorer = Scorer(model, load_policy(), KEY, state=DurableState(history, KEY, model.spec))
    payload = {
        "id": 450789469, "name": "#1001", "created_at": "2026-01-15T16:00:00+08:00", "currency": "CNY",
        "total_price": "12.00", "financial_status": "voided", "cancelled_at": "2026-01-15T18:00:00+08:00",
        "cancel_reason": "customer", "line_items": [{"id": 1, "sku": "s", "quantity": 1, "price": "12.00"}],
    }  # fmt: skip

    async def talk(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [
            await client.post("/v1/payloads/shopify_api_orders", params={"shop": "s1"}, json=payload),
            await client.post("/v1/payloads/shopify_api_orders", json={"nothing": "of it"}),
            await client.post("/v1/payloads/no_such_format", json=payload),
            await client.post("/v1/payloads/shopify_api_orders", content=b"\xff\xfe"),
        ]

    good, other, unknown, binary = ask(scorer, talk)

    assert (good.status_code, good.json()) == (200, {"n_events": 1})
    assert [each.status_code for each in (other, unknown, binary)] == [422, 422, 400]


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        ("/v1/score", b"{", 400),
        ("/v1/score", b"[NaN]", 400),
        ("/v1/score", b'"' + b"x" * 3_000 + b'"', 413),
        ("/v1/score", json.dumps([{}] * (MAX_TOGETHER + 1)).encode(), 413),
        ("/v1/score", b"3", 200),
        ("/v1/score", b"[]", 200),
        ("/v1/rescore", b"[]", 422),
        ("/v1/events", b"[3]", 422),
        ("/v1/events", json.dumps(OUTCOME | {"kind": "mischief"}).encode(), 422),
        ("/v1/events", json.dumps(OUTCOME | {"order_id": " "}).encode(), 422),
        ("/v1/nothing", b"{}", 404),
        ("/healthz", b"{}", 405),
    ],
)
def test_request_that_is_wrong_is_refused_in_one_sentence(
    scorer: Scorer, path: str, content: bytes, status: int
) -> None:
    limits = {"max_body": 3_000} if status == 413 and len(content) < 3_100 else {}
    answer = ask(scorer, lambda client: client.post(path, content=content), **limits)

    assert answer.status_code == status
    assert status == 200 or set(answer.json()) == {"message", "hint"}


def test_body_that_does_not_arrive_is_not_waited_for(scorer: Scorer) -> None:
    async def trickle() -> Any:
        yield b"["
        await asyncio.sleep(30)

    answer = ask(scorer, lambda client: client.post("/v1/score", content=trickle()), read_s=0.05)

    assert answer.status_code == 408


class HeldScorer(Scorer):
    """A scorer that waits before it scores, until it is let go."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.may_go = threading.Event()

    def score_many(self, orders: Any) -> Any:
        self.may_go.wait(30)
        return super().score_many(orders)


def test_late_orders_pass_are_remembered_and_too_many_are_refused(model: Model) -> None:
    scorer = HeldScorer(model, load_policy(), KEY, clock=clock)

    async def talk(client: httpx.AsyncClient) -> tuple[list[httpx.Response], list[Any]]:
        late = [
            await client.post("/v1/score", json=draw_order(1)),
            await client.post("/v1/score", json=[draw_order(2), draw_order(3)], headers={"Ordervet-Deadline-Ms": "20"}),
        ]
        refused = await client.post("/v1/score", json=[draw_order(4), draw_order(5)])
        alive, metrics = await client.get("/healthz"), await client.get("/metrics")
        scorer.may_go.set()
        after = await client.post("/v1/score", json=draw_order(6))
        n_kept = len(scorer._state._past_single)
        again = await client.post("/v1/score", json=draw_order(1))
        return [*late, refused, alive, metrics, after, again], [n_kept]

    (one, two, refused, alive, metrics, after, again), (n_kept,) = ask(scorer, talk, deadline_ms=1_500, max_waiting=4)

    assert one.json()["code"] == "UNSCORED_LATE"
    assert [each["code"] for each in two.json()] == ["UNSCORED_LATE"] * 2
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert alive.json() == {"state": "alive"}
    assert "ordervet_waiting 3" in metrics.text
    assert after.json()["code"] == "SCORED"
    assert n_kept == 4
    told = again.json()
    assert (told["code"], told["order_id"], told["seen_at"]) == ("SCORED", "t1", after.json()["seen_at"])


def test_what_waits_is_worked_off_when_the_service_stops(model: Model, tmp_path: Path) -> None:
    history = History.open(tmp_path / "history", KEY, create=True)
    scorer = HeldScorer(model, load_policy(), KEY, state=DurableState(history, KEY, model.spec))

    async def talk(client: httpx.AsyncClient) -> None:
        asked = [asyncio.ensure_future(client.post("/v1/score", json=draw_order(n))) for n in range(20)]
        await asyncio.sleep(0.05)
        scorer.may_go.set()
        await asyncio.gather(*asked)

    ask(scorer, talk)

    assert History.open(tmp_path / "history", KEY).read().orders.num_rows == 20


def test_without_a_model_orders_pass_and_the_service_is_not_ready() -> None:
    scorer = Scorer(None, load_policy(), KEY)

    async def talk(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [await client.get("/readyz"), await client.post("/v1/score", json=draw_order(1)),
                await client.get("/v1/orders/t1/explanation")]  # fmt: skip

    ready, scored, explained = ask(scorer, talk)

    assert (ready.status_code, ready.json()) == (503, {"state": "no_model"})
    assert scored.json()["code"] == "UNSCORED_NO_MODEL"
    assert explained.status_code == 503


def test_nobody_without_the_token_is_answered(scorer: Scorer) -> None:
    async def talk(client: httpx.AsyncClient) -> list[int]:
        guarded = httpx.ASGITransport(TokenGuard(vars(client._transport)["app"], "0123456789abcdef"))
        async with httpx.AsyncClient(transport=guarded, base_url="http://test") as other:
            asked = [
                other.post("/v1/score", json=draw_order(1), headers=headers)
                for headers in (
                    {}, {"Authorization": "Bearer 0123456789abcdeg"}, {"Authorization": "0123456789abcdef"},
                    [("Authorization", "Bearer 0123456789abcdef")] * 2, {"Authorization": "Bearer 0123456789abcdef"},
                )
            ]  # fmt: skip
            others = [other.get(path) for path in ("/metrics", "/openapi.json", "/nothing", "/healthz", "/readyz")]
            return [each.status_code for each in await asyncio.gather(*asked, *others)]

    assert ask(scorer, talk) == [401, 401, 401, 401, 200, 401, 401, 401, 200, 200]


def test_new_policy_is_taken_over_while_serving_and_a_wrong_one_is_logged(
    models_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "policy.toml"
    shipped = resources.files("ordervet.policy").joinpath("default_policy.toml").read_text(encoding="utf-8")
    file.write_text(shipped, encoding="utf-8")
    scorer = Scorer.open(models_dir, policy=file)
    first_id = scorer.policy.policy_id

    async def wait_until(is_so: Callable[[], bool]) -> None:
        for _ in range(3_000):
            if is_so():
                return
            await asyncio.sleep(0.01)
        raise TimeoutError

    async def talk(client: httpx.AsyncClient) -> list[str]:
        before = (await client.post("/v1/score", json=draw_order(1))).json()["policy_id"]
        file.write_text(re.sub(r"min_orders = \d+", "min_orders = 77", shipped), encoding="utf-8")
        await wait_until(lambda: scorer.policy.policy_id != first_id)
        after = (await client.post("/v1/score", json=draw_order(2))).json()["policy_id"]
        file.write_text("protocol = 1", encoding="utf-8")
        await wait_until(lambda: "was not taken over" in caplog.text)
        return [before, after, (await client.post("/v1/score", json=draw_order(3))).json()["policy_id"]]

    before, after, still = ask(scorer, talk, reload_every_s=0.02)

    assert before == first_id
    assert after == still != before


def test_metrics_tell_of_the_journal_of_a_history(model: Model, tmp_path: Path) -> None:
    history = History.open(tmp_path / "history", KEY, create=True)
    scorer = Scorer(model, load_policy(), KEY, state=DurableState(history, KEY, model.spec, flush_after_s=3600.0))

    async def talk(client: httpx.AsyncClient) -> list[str]:
        await client.post("/v1/score", json=[draw_order(1), draw_order(2)])
        before = (await client.get("/metrics")).text
        scorer.flush()
        return [before, (await client.get("/metrics")).text]

    before, after = (text.splitlines() for text in ask(scorer, talk))

    assert "ordervet_journal_events 4" in before  # two orders, and what was decided about them
    assert "ordervet_journal_events 0" in after
    assert "ordervet_journal_lag_seconds 0.0" in after
    assert [line for line in before if line.startswith("ordervet_flush_age_seconds ")]


def test_metrics_count_what_was_answered(scorer: Scorer) -> None:
    async def talk(client: httpx.AsyncClient) -> str:
        await client.post("/v1/score", json=[draw_order(1), {"order_id": "bad"}])
        await client.post("/v1/events", json=OUTCOME)
        await client.post("/v1/events", json=3)
        return (await client.get("/metrics")).text

    lines = ask(scorer, talk).splitlines()

    assert 'ordervet_orders_total{code="SCORED"} 1' in lines
    assert 'ordervet_orders_total{code="UNSCORED_INVALID_ORDER"} 1' in lines
    assert "ordervet_events_total 1" in lines
    assert 'ordervet_requests_total{route="/v1/events",status="422"} 1' in lines
    assert "ordervet_score_seconds_count 1" in lines
    assert f'ordervet_model_info{{model="{scorer.model.model_id}"}} 1' in lines
    assert f'ordervet_policy_info{{policy="{scorer.policy.policy_id}"}} 1' in lines


def test_log_of_requests_has_order_ids_alone(scorer: Scorer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "ordervet.requests"):
        ask(scorer, lambda client: client.post("/v1/score", json=[draw_order(1), draw_order(2)]))

    (record,) = [each for each in caplog.records if each.name == "ordervet.requests"]
    assert (vars(record)["order_ids"], vars(record)["n_orders"]) == (["t1", "t2"], 2)
    assert "1990000" not in str(vars(record))


def test_documents_have_the_fields_of_decisions(scorer: Scorer) -> None:
    decision = scorer.score(draw_order(1))

    assert set(ClaimDecisionDocument.model_fields) == {each.name for each in fields(ClaimDecision)}
    assert set(DecisionDocument.model_fields) == set(decision.as_dict())
    assert {each.name for each in fields(Decision)} < set(decision.as_dict())


def test_decision_code_of_every_kind_survives_the_wire() -> None:
    for code in DecisionCode:
        if code is not DecisionCode.SCORED:
            decision = Decision.unscored("t1", code)
            assert Decision.from_dict(json.loads(json.dumps(decision.as_dict()))) == decision
