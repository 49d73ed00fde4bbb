"""One world from its seed to its last judgement."""

from __future__ import annotations

from collections.abc import Callable

from ...engine.transaction import Storage
from ...management import OrderManagement
from ...storage import MemoryStorage
from .faults import Faults
from .world import Outcome, ShopFactory, World


def simulate(
    shop_factory: ShopFactory = OrderManagement,
    seed: int = 0,
    steps: int = 1_000,
    *,
    faults: Faults | None = None,
    storage: Callable[[], Storage] = MemoryStorage,
    exclusive: bool | None = None,
    changes: bool = False,
    planned: bool = True,
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
        changes: Whether orders are changed after they were placed, at once and by changes that somebody answers.
        planned: Whether every order that is confirmed must get a parcel, as the default reactions see to.  False for a
            shop that plans parcels by rules of its own.

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
            changes=changes,
            planned=planned,
        )
        while world.steps < steps:
            world.step()
        world.end()
        return world.outcome()
    finally:
        store.close()
