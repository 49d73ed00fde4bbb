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

from collections.abc import Callable

from ...engine.transaction import Storage
from ...management import OrderManagement
from ...storage import MemoryStorage
from .faults import KINDS, Crashed, Faults
from .world import Outcome, ShopFactory, SimulationFailed, World


def simulate(
    shop_factory: ShopFactory = OrderManagement,
    seed: int = 0,
    steps: int = 1_000,
    *,
    faults: Faults | None = None,
    storage: Callable[[], Storage] = MemoryStorage,
    exclusive: bool | None = None,
) -> Outcome:
    """Live through a world of this seed: so many steps with faults, then a calm phase, then a last judgement.

    Args:
        shop_factory: Puts the shop together from keyword arguments, as `OrderManagement` does.
        seed: Everything that is left to chance comes from it.
        steps: Steps of the faulty phase; the calm one takes as many as it needs.
        faults: How likely each fault is; by default each seed draws its own mixture.
        storage: Makes an empty store.
        exclusive: True: transactions one at a time.  False: all at once, guarded by versions only.  None: even seeds
            one at a time, odd ones all at once.

    Raises:
        SimulationFailed: A law was broken.
    """
    store = storage()
    try:
        world = World(
            shop_factory,
            seed,
            faults,
            storage=store,
            exclusive=seed % 2 == 0 if exclusive is None else exclusive,
        )
        while world.steps < steps:
            world.step()
        world.end()
        return world.outcome()
    finally:
        store.close()


__all__ = ["KINDS", "Crashed", "Faults", "Outcome", "ShopFactory", "SimulationFailed", "World", "simulate"]
