"""Decides refunds by a rule of its own, over Kafka: reads approval.requested, writes approval.decide."""

import json
import os
import sys
from datetime import datetime, timedelta, timezone

from kafka import KafkaConsumer, KafkaProducer

from countersign_events import PREFIX, decode, encode, headers

BROKERS = os.environ.get("KAFKA_BROKERS", "localhost:9092").split(",")
NAME = "refund-desk"


def judge(request):
    """A decision and its reason, or None to leave it to people. Previews are redacted, and may be cut short."""
    action = request["action"]
    if action["tool"] != "stripe.refund" or action["previewTruncated"]:
        return None
    # A rule that names its approvers wants people: the topic does not count there.
    if request["approvers"]:
        return None
    amount = json.loads(action["preview"]).get("amount")
    if not isinstance(amount, (int, float)) or isinstance(amount, bool):
        return None
    if amount <= 50:
        return "approve", "a small refund"
    if amount > 1000:
        return "deny", "too large for an agent"
    return None


def command(request, decision, reason):
    return {
        # The same each time: sent twice, it is one command.
        "commandId": f"{NAME}:{request['id']}",
        "id": request["id"],
        "tenant": request["tenant"],
        "decision": decision,
        "actor": {"id": NAME, "name": NAME, "type": "system", "via": "topic"},
        "reason": reason,
        "edits": None,
        "at": datetime.now(timezone.utc),
    }


def main():
    consumer = KafkaConsumer(
        f"{PREFIX}approval.requested",
        bootstrap_servers=BROKERS,
        group_id=f"{PREFIX}{NAME}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    producer = KafkaProducer(bootstrap_servers=BROKERS, acks="all")
    print("watching", flush=True)
    for message in consumer:
        try:
            request = decode("approval.requested", message.value)
        except ValueError as error:
            print(f"skipped  {message.partition}@{message.offset}: {error}", file=sys.stderr)
            continue
        ends = request["requestedAt"] + timedelta(milliseconds=request["timeoutMs"])
        verdict = judge(request) if datetime.now(timezone.utc) < ends else None
        if verdict:
            sent = command(request, *verdict)
            producer.send(
                f"{PREFIX}approval.decide",
                key=request["id"].encode(),
                value=encode("approval.decide", sent),
                headers=headers("approval.decide", sent["commandId"], request["id"], NAME),
            ).get(timeout=10)
        # The answer is on approval.decided: the record may have refused, or somebody was faster.
        print(f"{verdict[0] if verdict else 'left':<7}  {request['id']}  {request['action']['summary']}", flush=True)
        consumer.commit()


if __name__ == "__main__":
    main()
