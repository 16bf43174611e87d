"""Prints every event of all topics from the beginning, one JSON object a line, and goes on."""

import json
import os
import sys

from kafka import KafkaConsumer

from countersign_events import PREFIX, TOPICS, decode

consumer = KafkaConsumer(
    *(PREFIX + topic for topic in TOPICS),
    bootstrap_servers=os.environ.get("KAFKA_BROKERS", "localhost:9092").split(","),
    auto_offset_reset="earliest",
)
for message in consumer:
    topic = message.topic[len(PREFIX) :]
    said = {name: text.decode() for name, text in message.headers}
    try:
        event = {"topic": topic, "id": said.get("ce_id"), "source": said.get("ce_source"), "data": decode(topic, message.value)}
    except ValueError as error:
        print(f"skipped  {message.topic}/{message.partition}@{message.offset}: {error}", file=sys.stderr)
        continue
    print(json.dumps(event, default=lambda instant: instant.isoformat()), flush=True)
