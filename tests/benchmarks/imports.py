"""What importing the library costs, beside importing what it depends on: each in fresh interpreters.

What importing leaves for later is paid by whoever first needs it, so a first order is measured with it.

python -m tests.benchmarks.imports
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

from .timing import table

ROUNDS = 9
CLOCK = "import time; began = time.process_time()\n{}\nprint(time.process_time() - began)"
STATEMENTS = {
    "the dependencies": "import attrs, statemachine, pendulum, msgspec",
    "ordermgmt with them": "import ordermgmt",
    "a shop in memory with them": """
from ordermgmt import OrderManagement
from ordermgmt.storage import MemoryStorage
shop = OrderManagement(storage=MemoryStorage())
""",
    "a first order with them": """
from ordermgmt import Line, Money, OnAccount, OrderManagement, PlaceOrder, ReceiveStock
from ordermgmt.storage import MemoryStorage
shop = OrderManagement(storage=MemoryStorage())
shop.handle(ReceiveStock(sku="mug", quantity=10))
line = Line(sku="mug", quantity=2, unit_price=Money("9.50", "EUR"))
shop.handle(PlaceOrder(order_id="A-1", lines=[line], pay=OnAccount(days=30)))
""",
}


def cost(statement: str) -> float:
    """Processor milliseconds of a statement in a fresh interpreter that has written its bytecode before."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", CLOCK.format(statement)]
    told = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
    return float(told.stdout) * 1e3


def costs() -> dict[str, float]:
    """Medians of rounds in which the statements take turns."""
    for statement in STATEMENTS.values():
        cost(statement)
    rounds = [{name: cost(statement) for name, statement in STATEMENTS.items()} for _ in range(ROUNDS)]
    return {name: statistics.median(one[name] for one in rounds) for name in STATEMENTS}


def main() -> None:
    """Print all, and how they compare to the first."""
    told = costs()
    dependencies = told["the dependencies"]
    rows = [(name, milliseconds, f"{milliseconds / dependencies:.2f}") for name, milliseconds in told.items()]
    table("Importing (processor ms)", ("", "", "ratio"), rows)


if __name__ == "__main__":
    main()
