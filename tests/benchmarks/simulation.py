"""How fast the simulator goes, and what it costs to verify an order after every command.

python -m tests.benchmarks.simulation
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import define

from ordermgmt import HandOverShipment, OrderManagement, RecordDelivery
from ordermgmt.engine.transaction import Storage
from ordermgmt.storage import MemoryStorage, SqliteStorage
from ordermgmt.testing.simulation import simulate
from ordermgmt.verify import check_order

from .decisions import open_shop, placing
from .timing import table


@define
class Spent:
    """Seconds spent on commands, and on verifying the order after each."""

    commands: float = 0.0
    verifying: float = 0.0
    count: int = 0

    @property
    def share(self) -> float:
        """What verifying costs, in percent of the commands."""
        return 100 * self.verifying / self.commands


def speed(worlds: int, steps: int, first: int = 0) -> float:
    """Simulated steps in a second of processor time, with every law checked after each."""
    began = time.process_time()
    done = sum(simulate(seed=seed, steps=steps).steps for seed in range(first, first + worlds))
    return done / (time.process_time() - began)


def cost_of_verifying(storage: Storage, orders: int, clock: Callable[[], float]) -> Spent:
    """Whole lives of orders of three lines through the front door, each order verified after each deed."""
    shop = open_shop(storage)
    spent = Spent()
    for n in range(orders):
        for deed in _life(shop, f"o{n}"):
            began = clock()
            deed()
            done = clock()
            check_order(shop, f"o{n}")
            spent.commands += done - began
            spent.verifying += clock() - done
            spent.count += 1
    return spent


def _life(shop: OrderManagement, order_id: str) -> tuple[Callable[[], object], ...]:
    return (
        lambda: shop.handle(placing(order_id, 3)),
        lambda: shop.settle(order_id),
        lambda: shop.handle(HandOverShipment(shipment_id=f"{order_id}:s1")),
        lambda: shop.settle(order_id),
        lambda: shop.handle(RecordDelivery(shipment_id=f"{order_id}:s1")),
    )


def main() -> None:
    """Print all of it."""
    table("Simulated steps a second of one processor", ("worlds", "steps/s"), [(40, speed(40, 700))])
    rows = list[tuple[object, ...]]()
    with TemporaryDirectory() as folder:
        for name, clock in (("waited", time.perf_counter), ("processor", time.process_time)):
            for storage in (MemoryStorage(), SqliteStorage(Path(folder) / f"{name}.db")):
                spent = cost_of_verifying(storage, 60, clock)
                each = (1e6 * spent.commands / spent.count, 1e6 * spent.verifying / spent.count, spent.share)
                rows.append((type(storage).__name__, name, *each))
                storage.close()
    table("Verifying an order after each deed (µs)", ("store", "time", "deed", "verifying", "percent"), rows)


if __name__ == "__main__":
    main()
