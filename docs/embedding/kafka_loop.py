"""A Kafka consumer, with confluent-kafka: one topic of orders, one of outcomes; offsets are committed by hand.

What was polled is committed only once it is scored or acknowledged. After a death it is delivered again, and counts
once.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from ordervet import Outcome, RemoteScorer

if TYPE_CHECKING:
    from collections.abc import Callable

ORDERS, OUTCOMES = "orders", "outcomes"


def consume(consumer: Any, scorer: RemoteScorer, publish: Callable[[dict[str, Any]], None]) -> int:
    """Take what there is, at most 200 messages, in their order; return how many there were."""
    messages = [message for message in consumer.consume(num_messages=200, timeout=0.05) if message.error() is None]
    orders = [json.loads(message.value()) for message in messages if message.topic() == ORDERS]
    for decision in scorer.score_many(orders):
        publish(decision.as_dict())
    for message in messages:
        if message.topic() == OUTCOMES:
            scorer.observe(Outcome(**json.loads(message.value())))  # raises where it is not acknowledged
    if messages:
        consumer.commit(asynchronous=False)
    return len(messages)


def main() -> None:
    """Consume until the process is stopped."""
    from confluent_kafka import Consumer, Producer

    settings = {"bootstrap.servers": os.environ["KAFKA"], "group.id": "ordervet"}
    consumer = Consumer(settings | {"enable.auto.commit": False, "auto.offset.reset": "earliest"})
    consumer.subscribe([ORDERS, OUTCOMES])
    producer = Producer({"bootstrap.servers": os.environ["KAFKA"]})
    scorer = RemoteScorer(os.environ["ORDERVET_SERVICE"], token=os.environ.get("ORDERVET_TOKEN"), write_s=60.0)
    while True:
        consume(consumer, scorer, lambda decision: producer.produce("decisions", json.dumps(decision)))
        producer.flush()


if __name__ == "__main__":
    main()
