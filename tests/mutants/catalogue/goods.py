"""Stock and parcels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ordermgmt.engine.capability import changed
from ordermgmt.shipments.messages import LabelVoidAsked, RecordLabel
from ordermgmt.stock.messages import (
    CommitReservation,
    ReleaseStock,
    ReserveStock,
    StockIssued,
    StockReleased,
    StockReserved,
)
from tests.mutants.planting import Garden, dropping, mutant

# Stock.


@mutant("stock")
def reserved_without_a_check(garden: Garden) -> None:
    def reserve(command: Any, state: Any, seen: Any, at: Any) -> Iterable[Any]:
        yield StockReserved(
            sku=command.sku, location=command.location, quantity=command.quantity, order_id=command.order_id
        )

    def commit(inner: Any) -> Any:
        class Plenty:
            def get(self, *_: Any) -> Any:
                return type("Much", (), {"available": 10**9})()

        return lambda command, state, seen, at: inner(command, state, Plenty(), at)

    garden.decide("stock", ReserveStock, lambda _: reserve)
    garden.decide("reservation", CommitReservation, commit)


@mutant("stock")
def released_twice(garden: Garden) -> None:
    garden.evolve("stock", StockReleased, lambda inner: lambda s, e: inner(inner(s, e), e))


@mutant("stock")
def issued_without_its_reservation(garden: Garden) -> None:
    def evolve(inner: Any) -> Any:
        return lambda s, e: changed(inner(s, e), reserved=s.reserved)

    garden.evolve("stock", StockIssued, evolve)


@mutant("stock")
def issued_but_still_on_hand(garden: Garden) -> None:
    garden.evolve("stock", StockIssued, lambda inner: lambda s, e: changed(inner(s, e), on_hand=s.on_hand))


@mutant("stock")
def held_is_forgotten(garden: Garden) -> None:
    from ordermgmt.stock import flow

    garden.patch(flow, "_MOVEMENT", {**flow._MOVEMENT, "set_aside": ReleaseStock})


# Shipments.


@mutant("shipments")
def a_label_is_not_given_back(garden: Garden) -> None:
    garden.forget("shipment", "give_the_label_back")


@mutant("shipments")
def cancelled_units_stay_in_the_parcel(garden: Garden) -> None:
    garden.forget("shipment", "take_out_what_is_cancelled")


@mutant("shipments")
def a_second_label_is_kept(garden: Garden) -> None:
    garden.decide("shipment", RecordLabel, dropping(LabelVoidAsked))


@mutant("shipments")
def units_do_not_arrive_with_their_parcel(garden: Garden) -> None:
    garden.forget("shipment", "units_arrive")


@mutant("shipments")
def a_cancelled_parcel_keeps_its_units(garden: Garden) -> None:
    garden.forget("shipment", "units_go_back_to_the_shelf")


@mutant("shipments")
def nobody_plans_a_parcel(garden: Garden) -> None:
    garden.forget("shipment", "plan_the_parcel")


@mutant("shipments")
def nobody_buys_a_label(garden: Garden) -> None:
    garden.forget("shipment", "buy_a_label")


@mutant("shipments")
def nobody_asks_where_a_parcel_is(garden: Garden) -> None:
    garden.forget("shipment", "ask_where_it_is")


@mutant("shipments")
def units_of_a_lost_parcel_are_on_their_way_for_ever(garden: Garden) -> None:
    garden.forget("shipment", "units_do_not_arrive")


@mutant("shipments")
def a_carriers_no_is_told_to_nobody(garden: Garden) -> None:
    garden.forget("shipment", "tell_of_no_label")
