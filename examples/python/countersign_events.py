"""Countersign's events as they lie on Kafka: Avro single-object encoding, and CloudEvents headers in binary mode."""

import io
import os
from datetime import datetime, timezone
from pathlib import Path

from fastavro import schemaless_reader, schemaless_writer
from fastavro.schema import fingerprint, load_schema, to_parsing_canonical_form

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
TOPICS = (
    "approval.requested",
    "approval.decide",
    "approval.decided",
    "approval.settled",
    "approval.expiring",
    "approval.escalated",
)
# Deployments that share a cluster put a prefix before their topics: `topics.prefix` of countersign.yaml.
PREFIX = os.environ.get("TOPIC_PREFIX", "")

MARKER = b"\xc3\x01"


def _header(schema):
    """What a value begins with: C3 01, and the fingerprint of its schema, little-endian, as fastavro writes it."""
    return MARKER + bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))


_current = {topic: load_schema(SCHEMAS / f"{topic}.avsc") for topic in TOPICS}
# What older releases wrote may still lie on a topic.
_writers = {
    topic: {
        _header(schema): schema
        for schema in [_current[topic], *map(load_schema, SCHEMAS.glob(f"published/*/{topic}.avsc"))]
    }
    for topic in TOPICS
}


def decode(topic, value):
    """The event as a dict, instants as datetime. Raises ValueError for what this reader does not know: never guess."""
    writer = _writers[topic].get((value or b"")[:10])
    if writer is None:
        raise ValueError(f"not in single-object encoding, or a newer release wrote it: {(value or b'')[:10].hex()}")
    return schemaless_reader(io.BytesIO(value[10:]), writer, _current[topic])


def encode(topic, event):
    out = io.BytesIO(_header(_current[topic]))
    out.seek(0, io.SEEK_END)
    schemaless_writer(out, _current[topic], event)
    return out.getvalue()


def headers(topic, event_id, subject, source):
    """A message without these is refused. The same `event_id` again is the same event."""
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    said = {
        "ce_specversion": "1.0",
        "ce_id": event_id,
        "ce_type": topic,
        "ce_source": source,
        "ce_time": now,
        "ce_subject": subject,
        "content-type": "application/avro",
    }
    return [(name, text.encode()) for name, text in said.items()]
