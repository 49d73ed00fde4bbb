"""Workers stopped with SIGSTOP in the middle of their work, overtaken by others, and let go on with SIGCONT.

    python -m tests.faults.pausing --pauses 200

A worker that is stopped beyond its lease (a virtual machine suspended, a long collection of garbage) wakes up and
believes that it still holds its effect.  Each pause is at a point: before the request leaves, or when the provider has
answered and the worker does not know it yet; for each kind of request; and whoever overtakes may find the provider
silent, so that the late answer is the first news of it.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from datetime import timedelta
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any, NoReturn

import attrs
from attrs import define, field, frozen

from ordermgmt import (
    CancelOrder,
    GrantCredit,
    HandOverShipment,
    Intent,
    Money,
    OrderManagement,
    PackShipment,
    PlaceOrder,
    ReceiveStock,
    Unknown,
    verify,
)
from ordermgmt.testing.fakes.http_payments import HttpPayments
from tests.faults.shop import Provider, come_to_rest, differing_books, everything, folder, open_shop, provider
from tests.stories import card_pays, line

DEADLINE = timedelta(seconds=0.2)
LEASE = timedelta(seconds=0.3)
KINDS = ("Authorise", "Capture", "Void", "SendRefund")
POINTS = ("before", "after")
OVERTAKERS = ("finds it", "finds the provider silent")


@frozen
class Pause:
    """Where a worker is stopped, and who overtakes it."""

    kind: str
    point: str
    overtaker: str


ALL = tuple(Pause(*parts) for parts in product(KINDS, POINTS, OVERTAKERS))


@define
class Figures:
    """What came of it."""

    pauses: int = 0
    seconds: float = 0.0
    overtaken: int = 0
    """Effects that somebody else had claimed when the stopped worker went on."""
    late_successes: int = 0
    """Effects that the stopped worker's late answer settled."""
    breaches: list[str] = field(factory=list[str])


class StopsItself:
    """An adapter whose process is stopped at a point of the first request of a kind."""

    def __init__(self, gateway: HttpPayments, pause: Pause) -> None:
        self.capabilities = gateway.capabilities
        self._gateway = gateway
        self._pause = pause

    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        this = type(request).__name__ == self._pause.kind
        if this and self._pause.point == "before":
            os.kill(os.getpid(), signal.SIGSTOP)
        outcome = self._gateway.execute(request, key=key, deadline=deadline)
        if this and self._pause.point == "after":
            os.kill(os.getpid(), signal.SIGSTOP)
        return outcome

    def lookup(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        return self._gateway.lookup(request, key=key, deadline=deadline)


class Silent:
    """An adapter that reaches nobody."""

    def __init__(self, gateway: HttpPayments) -> None:
        self.capabilities = gateway.capabilities

    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        return Unknown("no answer")

    lookup = execute


def ready_for(shop: OrderManagement, order_id: str, kind: str) -> None:
    """An order whose next due effect is of this kind."""
    shop.handle(PlaceOrder(order_id=order_id, lines=[line("mug", 1)], pay=card_pays()))
    if kind == "Authorise":
        return
    shop.settle(order_id)
    if kind == "Void":
        shop.handle(CancelOrder(order_id=order_id))
        return
    shop.handle(PackShipment(shipment_id=f"{order_id}:s1"))
    shop.handle(HandOverShipment(shipment_id=f"{order_id}:s1"))
    if kind == "SendRefund":
        shop.settle(order_id)
        shop.handle(GrantCredit(order_id=order_id, amount=Money("1.00", "EUR"), reason="late"))


def live(path: Path, gateway: StopsItself, order_id: str) -> NoReturn:
    """A worker that does one order's due work, in a forked child."""
    status = 1
    try:
        with open_shop(path, gateway, deadline=DEADLINE, lease=LEASE) as shop:
            shop.settle(order_id)
        status = 0
    except BaseException:  # noqa: BLE001 - whatever it is, the parent must see it
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def pause_once(path: Path, till: Provider, number: int, pause: Pause, figures: Figures) -> None:
    """Stop a worker, overtake it, let it go on."""
    order_id = f"P-{number}"
    with open_shop(path, till.gateway(), deadline=DEADLINE, lease=LEASE) as shop:
        ready_for(shop, order_id, pause.kind)
    pid = os.fork()
    if not pid:
        live(path, StopsItself(till.gateway(), pause), order_id)
    _, status = os.waitpid(pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        figures.breaches.append(f"{pause}: the worker ended before it was stopped")
        return
    time.sleep(LEASE.total_seconds() * 1.1)
    gateway = till.gateway()
    found_silent = pause.overtaker != OVERTAKERS[0]
    with open_shop(path, Silent(gateway) if found_silent else gateway, deadline=DEADLINE, lease=LEASE) as shop:
        shop.settle(order_id)
        before = {one.effect_id: one for one in everything(shop, Intent) if one.group == order_id}
    os.kill(pid, signal.SIGCONT)
    _, status = os.waitpid(pid, 0)
    if status:
        figures.breaches.append(f"{pause}: the worker that was stopped ended with {status}")
    with open_shop(path, gateway, deadline=DEADLINE, lease=LEASE) as shop:
        after = {one.effect_id: one for one in everything(shop, Intent) if one.group == order_id}
    figures.pauses += 1
    figures.overtaken += sum(one.token > 1 for one in before.values())
    figures.late_successes += sum(not before[name].ended and after[name].status == "succeeded" for name in before)


def run(pauses: int, where: Path | None) -> Figures:
    """That many pauses, each kind in turn, on one file; then everything must be right."""
    figures = Figures()
    begun = time.monotonic()
    gc.freeze()
    with tempfile.TemporaryDirectory(dir=where) as place, provider() as till:
        path = Path(place) / "shop.db"
        with open_shop(path, till.gateway()) as shop:
            shop.handle(ReceiveStock(sku="mug", quantity=pauses))
        for number, pause in enumerate(islice(cycle(ALL), pauses)):
            pause_once(path, till, number, pause, figures)
        with open_shop(path, till.gateway()) as shop:
            come_to_rest(shop)
            told = till.state()
            counted = [*told["executed"].items(), *told["done"].items()]
            figures.breaches += [f"{name} was executed {times} times" for name, times in counted if times > 1]
            figures.breaches += [f"the provider refused: {refusal}" for refusal in told["refusals"]]
            figures.breaches += [f"parked: {one.effect_id} {one.reason}" for one in shop.effects.parked()]
            figures.breaches += differing_books(shop, told["accounts"])
            figures.breaches += map(str, verify.check_all(shop).breaches)
    figures.seconds = time.monotonic() - begun
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Pause, and tell what came of it; exit code 1 where anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.pausing", description="SIGSTOP past the lease")
    parser.add_argument("--pauses", type=int, default=200)
    parser.add_argument("--folder", type=Path, default=folder(), help="where the file lies; in memory by default")
    parser.add_argument("--json", action="store_true", help="print the figures only, as JSON")
    asked = parser.parse_args(arguments)
    figures = run(asked.pauses, asked.folder)
    if asked.json:
        print(json.dumps(attrs.asdict(figures)))
    else:
        print(
            f"{figures.pauses} pauses in {figures.seconds:.0f} s; {figures.overtaken} effects overtaken, "
            f"{figures.late_successes} settled by the late answer; {len(figures.breaches)} breaches"
        )
        print(*figures.breaches, sep="\n")
    return 1 if figures.breaches else 0


if __name__ == "__main__":
    sys.exit(main())
