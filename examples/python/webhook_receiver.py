"""Receives webhooks: trusts no body before its signature (standardwebhooks.com), takes each once, answers at once."""

import base64
import binascii
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock

SECRET = os.environ.get("WEBHOOK_SECRET", "")
if not SECRET.startswith("whsec_"):
    sys.exit("Set WEBHOOK_SECRET to the secret of the webhook (whsec_…).")

KEY = base64.b64decode(SECRET.removeprefix("whsec_"))
WINDOW_SECONDS = 5 * 60
MAX_BYTES = 64 * 1024


def flaw_of(id: str, timestamp: str, signatures: str, body: bytes) -> str | None:
    """What is wrong with a delivery, or None."""
    if not id or not signatures or not (timestamp.isascii() and timestamp.isdigit()):
        return "webhook headers are missing"
    if abs(time.time() - int(timestamp)) > WINDOW_SECONDS:
        return "too old, or from the future"
    expected = hmac.new(KEY, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    # During a rotation there are several; one that fits is enough.
    for each in signatures.split(" "):
        version, _, text = each.partition(",")
        try:
            given = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            continue
        if version == "v1" and hmac.compare_digest(given, expected):
            return None
    return "the signature is wrong"


# Ids of the last deliveries: a sender that heard no answer sends again. Keep them in your database if it matters.
seen: dict[str, None] = {}
lock = Lock()


def is_new(id: str) -> bool:
    with lock:
        if id in seen:
            return False
        seen[id] = None
        if len(seen) > 10_000:
            del seen[next(iter(seen))]
        return True


def handle(event: dict) -> None:
    """Yours to write. Slow work belongs into a queue: the sender has been answered already."""
    data = event["data"]
    print(event["type"], data["id"], data["status"], json.dumps(data["action"]["summary"]), sep="  ", flush=True)


class Receiver(BaseHTTPRequestHandler):
    timeout = 10

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit()):
            return self.answer(411)
        if int(length) > MAX_BYTES:
            return self.answer(413)
        # The bytes as they came: parsed and written again, they would have another signature.
        body = self.rfile.read(int(length))
        id, timestamp, signatures = (self.headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
        flaw = flaw_of(id, timestamp, signatures, body)
        if flaw:
            print("refused ", flaw, file=sys.stderr, flush=True)
            return self.answer(401, flaw)
        self.answer(204)
        if is_new(id):
            handle(json.loads(body))

    def answer(self, status: int, text: str = "") -> None:
        self.close_connection = True
        self.send_response(status)
        self.send_header("connection", "close")
        if status != 204:
            self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Silent: what counts is printed by handle."""


with ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "4200"))), Receiver) as server:
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
