"""The fake payment provider behind HTTP: for adapters that speak HTTP, and for tests that kill the workers.

Inside a test:

    with PaymentServer(FakePayments()) as server:
        gateway = HttpPayments(server.url, secret=server.secret)

As a process of its own, which outlives its clients: ``python -m ordermgmt.testing.fakes.server`` prints its URL on
the first line and serves until its standard input ends or it is killed.

`fault(...)` says what goes wrong with the next request; see `FAULTS`.  ``POST /control`` does the same from
outside: ``{"do": "fault", "fault": "time_out"}``, ``{"do": "fail_next", "kind": "Capture"}``; ``GET /control`` tells
what was asked and executed.
"""

from __future__ import annotations

import argparse
import socket
import struct
import sys
import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import parse_qs, unquote, urlsplit

import attrs

from ...engine.adapters import CannotTell, NotThere
from ...engine.effects import Outcome
from . import wire
from .payments import FakePayments
from .script import ProviderBroke, ProviderTimeout

SECRET = "sk_fake_4f1c"  # noqa: S105 - it guards a fake
BODY_MAX = 1 << 20
INSIDE = timedelta(seconds=30)

NOT_EXECUTED = ("time_out", "reset_before", "error_500", "error_in_200", "conflict", "too_many", "absurd_retry_after")
"""Faults after which nothing was executed."""
EXECUTED = ("time_out_after", "reset_after", "error_500_after", "html", "truncated", "wrong_type", "not_json", "empty")
"""Faults that spoil the answer to what was executed."""
FAULTS = NOT_EXECUTED + EXECUTED
SCRIPTED = (
    *("decline_next", "fail_next", "lose_next", "break_next", "put_off_next"),
    *("answer_later_next", "decline_later_next", "arrive_late"),
)
"""What `POST /control` may ask of the fake."""
HTML = b"<!doctype html><html><head><title>502</title></head><body><h1>Bad Gateway</h1></body></html>"


class PaymentServer:
    """A `FakePayments` that is asked over HTTP on 127.0.0.1, on a port of the system's choice.

    Args:
        fake: The provider; its personality is what the server does.
        secret: What clients must send as bearer token.
        hang: How long a request that is not to be answered is kept waiting.
    """

    def __init__(
        self, fake: FakePayments | None = None, *, secret: str = SECRET, hang: timedelta = timedelta(seconds=1)
    ) -> None:
        self.fake = fake or FakePayments()
        self.secret = secret
        self.hang = hang
        self.hits: Counter[str] = Counter()
        """How often each fault struck."""
        self._faults: deque[str] = deque()
        self._closing = threading.Event()
        self._http = _Server(self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._http.server_port}"

    def fault(self, *names: str) -> None:
        """These go wrong with the next requests, one each."""
        for name in names:
            if name not in FAULTS:
                raise ValueError(f"there is no fault {name!r} (there are: {', '.join(FAULTS)})")
        self._faults.extend(names)

    def next_fault(self) -> str:
        """What goes wrong with the request that has come."""
        try:
            name = self._faults.popleft()
        except IndexError:
            return ""
        self.hits[name] += 1
        return name

    def wait(self) -> None:
        """Keep somebody waiting, but not beyond the end."""
        self._closing.wait(self.hang.total_seconds())

    def start(self) -> Self:
        """Serve, in a thread of its own."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving."""
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, owner: PaymentServer) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; tests look at the counts."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def _owner(self) -> PaymentServer:
        return cast("_Server", self.server).owner

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: tests look at the counts."""

    # The provider's interface.

    def do_POST(self) -> None:
        """`/requests` does something; `/control` is for tests."""
        body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), BODY_MAX))
        if self.path == "/control":
            self._control(body)
        elif not self._known():
            return
        elif self.path == "/requests":
            self._execute(body)
        else:
            self._answer(404, _error("no_such_page"))

    def do_GET(self) -> None:
        """`/requests/<key>` looks up, `/events` lists; `/control` is for tests."""
        place = urlsplit(self.path)
        if self.path == "/control":
            self._answer(200, self._state())
        elif not self._known():
            return
        elif place.path.startswith("/requests/"):
            self._look_up(unquote(place.path.removeprefix("/requests/")))
        elif place.path == "/events":
            self._list({name: values[0] for name, values in parse_qs(place.query).items()})
        else:
            self._answer(404, _error("no_such_page"))

    def _known(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {self._owner.secret}":
            return True
        self._answer(401, _error("who_are_you"))
        return False

    def _execute(self, body: bytes) -> None:
        fault = self._owner.next_fault()
        if fault in NOT_EXECUTED:
            self._spoil(fault, 200, b"")
            return
        try:
            request = wire.read_request(wire.read(body))
        except ValueError as problem:
            self._answer(400, _error("malformed", str(problem)))
            return
        key = self.headers.get("Idempotency-Key") or ""
        try:
            outcome = self._owner.fake.execute(request, key=key, deadline=INSIDE)
        except ProviderTimeout:
            self._hang_up()
        except ProviderBroke:
            self._answer(500, _error("api_error"))
        else:
            self._tell(outcome, fault)

    def _look_up(self, key: str) -> None:
        fault = self._owner.next_fault()
        if fault in NOT_EXECUTED:
            self._spoil(fault, 200, b"")
            return
        found = self._owner.fake.look_up(key)
        if isinstance(found, NotThere):
            self._answer(404, _error("no_such_request"))
        elif isinstance(found, CannotTell):
            self._answer(503, _error("api_error"))
        else:
            self._tell(found, fault)

    def _list(self, asked: Mapping[str, str]) -> None:
        try:
            since, until = wire.moment(asked["since"]), wire.moment(asked["until"])
            page = self._owner.fake.list(since, until, asked.get("cursor"))
        except (KeyError, ValueError):
            self._answer(400, _error("malformed"))
            return
        self._answer(200, wire.listing_doc(page))

    # Answering.

    def _tell(self, outcome: Outcome, fault: str) -> None:
        status, headers, doc = wire.outcome_doc(outcome)
        if fault:
            self._spoil(fault, status, wire.written(doc))
        else:
            self._answer(status, doc, headers)

    def _answer(self, status: int, doc: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        self._send(status, wire.written(doc), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str], length: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body) if length is None else length)}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _spoil(self, fault: str, status: int, body: bytes) -> None:
        """Everything an answer can be besides an answer."""
        json = {"Content-Type": "application/json"}
        match fault:
            case "time_out" | "time_out_after":
                self._owner.wait()
                self._hang_up()
            case "reset_before" | "reset_after":
                self._hang_up()
            case "error_500" | "error_500_after":
                self._answer(500, _error("api_error"))
            case "html":
                self._send(502, HTML, {"Content-Type": "text/html"})
            case "truncated":
                self._send(status, body[: len(body) // 2], json, length=len(body))
                self.close_connection = True
            case "wrong_type":
                self._send(status, HTML, {"Content-Type": "text/html"})
            case "not_json":
                self._send(status, body[:-1] + b",", json)
            case "empty":
                self._send(status, b"", json)
            case "error_in_200":
                self._answer(200, _error("declined"))
            case "conflict":
                self._answer(409, _error("key_in_use"), {"Retry-After": "2"})
            case "too_many":
                self._answer(429, _error("rate_limit"), {"Retry-After": "3"})
            case _:
                self._answer(429, _error("rate_limit"), {"Retry-After": "99999999999999999999"})

    def _hang_up(self) -> None:
        """Break the connection without a word (a TCP reset)."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    # For tests.

    def _control(self, body: bytes) -> None:
        try:
            doc = wire.read(body)
            what = wire.text(doc, "do")
            if what == "fault":
                self._owner.fault(wire.text(doc, "fault"))
            elif what == "arrive_late":
                self._owner.fake.arrive_late()
            elif what in SCRIPTED:
                getattr(self._owner.fake, what)(wire.text(doc, "kind", ""))
            else:
                raise wire.Malformed("this cannot be done")
        except ValueError as problem:
            self._answer(400, _error("malformed", str(problem)))
        else:
            self._answer(200, self._state())

    def _state(self) -> dict[str, Any]:
        fake = self._owner.fake
        return {
            # A list at once: other requests go on meanwhile, and may open accounts.
            "accounts": {name: attrs.asdict(account) for name, account in list(fake.accounts.items())},
            "asked": dict(fake.asked),
            "executed": dict(fake.executed),
            "done": dict(fake.done),
            "refusals": list(fake.refusals),
            "hits": dict(self._owner.hits),
        }


def _error(kind: str, message: str = "") -> dict[str, Any]:
    return {"error": {"type": kind, "code": kind, "message": message}}


PERSONALITIES = ("keyed", "unique_reference", "lookup_only", "neither", "asynchronous", "storing_errors", "lagging")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve as a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m ordermgmt.testing.fakes.server", description=__doc__)
    parser.add_argument("--personality", choices=PERSONALITIES, default="keyed")
    parser.add_argument("--secret", default=SECRET)
    chosen = parser.parse_args(arguments)
    fake: FakePayments = getattr(FakePayments, chosen.personality)()
    with PaymentServer(fake, secret=chosen.secret) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
