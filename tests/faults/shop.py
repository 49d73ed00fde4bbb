"""A shop that meets real faults: short leases, one SQLite file, a payment provider in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import urlopen

import attrs
import pendulum

import ordermgmt
from ordermgmt import GatewayCapabilities, OrderManagement, Payment
from ordermgmt.storage import PostgresStorage, SqliteStorage
from ordermgmt.testing.fakes.http_payments import HttpPayments
from ordermgmt.testing.fakes.server import SECRET

State = TypeVar("State")

DEADLINE = timedelta(seconds=0.5)
LEASE = timedelta(seconds=1)
PATIENCE = 60.0
"""How many seconds everything may take to come to rest."""
ROOT = Path(__file__).parents[2]
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - folders of our own are made in it


def environment() -> dict[str, str]:
    """For processes of ours: they import what we import."""
    source = str(Path(ordermgmt.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([source, str(ROOT)])}


def folder() -> Path | None:
    """Where files of a run may lie: in memory if there is such a place.

    A killed process loses nothing that it had given to the system, whether or not that reached a disk.
    """
    return IN_MEMORY if IN_MEMORY.is_dir() else None


@attrs.frozen
class Provider:
    """The payment fake in its own process, as seen from outside."""

    url: str

    def gateway(self, capabilities: GatewayCapabilities | None = None) -> HttpPayments:
        """An adapter that speaks to it."""
        return HttpPayments(self.url, secret=SECRET, capabilities=capabilities)

    def state(self) -> dict[str, Any]:
        """Everything it was asked and has executed."""
        with urlopen(f"{self.url}/control", timeout=30) as answer:  # noqa: S310 - the address is our own
            told: dict[str, Any] = json.load(answer)
        return told


@contextmanager
def provider() -> Generator[Provider]:
    """A payment provider that outlives whoever speaks to it."""
    command = [sys.executable, "-m", "ordermgmt.testing.fakes.server"]
    with subprocess.Popen(
        command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        try:
            yield Provider(process.stdout.readline().strip())
        finally:
            process.kill()


Where = Path | str
"""Where a shop is kept: in a SQLite file, or in a PostgreSQL database by its address."""


def open_store(where: Where) -> SqliteStorage | PostgresStorage:
    """What is kept there."""
    return SqliteStorage(where) if isinstance(where, Path) else PostgresStorage(where)


def open_shop(where: Where, gateway: Any, **more: Any) -> OrderManagement:
    """The shop, as every process opens it."""
    settings: dict[str, Any] = {"actor": "webshop", "deadline": DEADLINE, "lease": LEASE} | more
    return OrderManagement(storage=open_store(where), gateways={"card": gateway}, **settings)


def everything(shop: OrderManagement, kind: type[State]) -> list[State]:
    """All of a kind."""
    found = list[State]()
    place: tuple[str, str] | None = None
    while True:
        page = shop.find(kind, limit=1000, after=place)
        found += page
        place = page.next
        if place is None:
            return found


def come_to_rest(shop: OrderManagement) -> None:
    """Work until nothing is due any more, now or later."""
    began = time.monotonic()
    end = began + PATIENCE
    while (due := shop.effects.next_due()) is not None:
        # What has failed often waits long before it is tried again: waiting for its time uses no patience up.
        wait = (due - pendulum.now("UTC")).total_seconds()
        if wait > 1 and time.monotonic() < began + 20 * PATIENCE:
            time.sleep(1)
            end += 1
            continue
        assert time.monotonic() < end, f"work is still due at {due}"
        shop.run_due()
        time.sleep(0.02)


def differing_books(shop: OrderManagement, accounts: dict[str, dict[str, Any]]) -> list[str]:
    """Payments whose amounts are not the provider's, and accounts that no payment knows."""
    wrong = [f"{name}: no payment of ours" for name in accounts]
    for payment in everything(shop, Payment):
        account = accounts.get(payment.payment_id)
        if account is not None:
            wrong.remove(f"{payment.payment_id}: no payment of ours")
        theirs = {name: account[name] if account else 0 for name in ("authorised", "captured", "voided", "refunded")}
        ours = {name: getattr(payment.amounts, name) for name in theirs}
        if ours != theirs:
            wrong.append(f"{payment.payment_id}: ours {ours}, the provider's {theirs}")
    return wrong
