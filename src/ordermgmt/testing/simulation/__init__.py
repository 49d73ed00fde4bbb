"""A world in which everything goes wrong, made from a seed.

    from ordermgmt import OrderManagement
    from ordermgmt.testing.simulation import simulate

    simulate(OrderManagement, seed=1, steps=1_000)

Customers, a warehouse, workers, webhooks and an operator share one shop.  A scheduler decides at every boundary
(before a transaction, with its rows taken, before and after its commit, before and after a call) who goes on, who
stands still past his lease, and who dies.  Requests and answers are lost, late and doubled, providers forget keys and
act by themselves, clocks jump.  Then comes a calm phase, in which everything must end.

The laws of `ordermgmt.verify` are checked after every step, and with them what only the outside can see: nothing is
executed twice, nothing unclaimed is sent, no provider ever has to refuse for a limit, and in the end the books agree.

A law that is broken raises `SimulationFailed`, which names the seed and tells what happened last.  The same seed and
arguments give the same history, to the last hash.

A host passes a factory of its own: ``partial(OrderManagement, policies=[…], capabilities=[…])``.

As a command: ``python -m ordermgmt.testing.simulation --steps 2000 --seeds 500 --jobs 2``.
"""

from __future__ import annotations

from .crashes import SCENARIOS, Scenario, crash_everywhere
from .faults import KINDS, Crashed, Faults
from .many import Summary, run_many
from .simulating import simulate
from .world import Outcome, ShopFactory, SimulationFailed, World

__all__ = [
    "KINDS",
    "SCENARIOS",
    "Crashed",
    "Faults",
    "Outcome",
    "Scenario",
    "ShopFactory",
    "SimulationFailed",
    "Summary",
    "World",
    "crash_everywhere",
    "run_many",
    "simulate",
]
