"""Orders, and changes of orders."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from ordermgmt.engine.capability import changed
from ordermgmt.orders import amended, amendment, reckoning, stretches
from ordermgmt.orders import rules as order_rules
from ordermgmt.orders.drafts import PlaceDraft
from ordermgmt.orders.following import Asking
from ordermgmt.orders.holds import HoldReleased, NoteAdded
from ordermgmt.orders.lifecycle import GONE_OUT
from ordermgmt.orders.messages import CreditGranted, NotePayment, OrderConfirmed, OrderPlaced
from ordermgmt.orders.references import ReferenceGiven, TakeReference
from ordermgmt.payments.messages import (
    AskAnswered,
)
from ordermgmt.stock.messages import (
    ReplaceClaims,
)
from tests.mutants.planting import Garden, mutant

# Orders.


@mutant("orders")
def the_void_is_forgotten_on_a_cancel(garden: Garden) -> None:
    def without(inner: Any) -> Any:
        return lambda event, order: [one for one in inner(event, order) if type(one).__name__ != "VoidPayment"]

    garden.react("order", "money_follows_the_units", without)


@mutant("orders")
def a_late_authorisation_is_ignored(garden: Garden) -> None:
    def note(inner: Any) -> Any:
        def decide(command: Any, state: Any, seen: Any, at: Any) -> Any:
            events = list(inner(command, state, seen, at))
            return events[:1] if state is not None and state.status == "cancelled" else events

        return decide

    garden.decide("order", NotePayment, note)


@mutant("orders")
def the_orders_tally_is_not_updated(garden: Garden) -> None:
    kept = tuple(one for one in garden.of("order").reactions if one.on is not AskAnswered)
    garden.change("order", reactions=kept)


@mutant("orders")
def confirmed_without_an_authorisation(garden: Garden) -> None:
    def confirmed(order: Any, seen: Any, reckoned: Any = None) -> Any:
        return before(
            attrs.evolve(order, confirm="at_once") if order.confirm == "when_authorised" else order, seen, reckoned
        )

    before = garden.patch(order_rules, "confirmed_by_policy", confirmed)


@mutant("orders")
def units_are_moved_without_a_claim(garden: Garden) -> None:
    garden.patch(order_rules, "_refuse_unclaimed", lambda order, vectors, seen: None)


@mutant("orders")
def shares_that_lose_their_cents(garden: Garden) -> None:
    garden.patch(reckoning, "earned_by", lambda line: line.minor // line.quantity * line.count(*GONE_OUT))


@mutant("orders")
def shipping_is_collected_twice(garden: Garden) -> None:
    def balance(order: Any, reckoned: Any = None) -> tuple[Asking, ...]:
        more = sum(charge.minor for charge in order.charges)
        return tuple(
            attrs.evolve(a, minor=min(a.minor + more, order.payments[a.payment_id].amounts.capturable))
            if a.verb == "capture"
            else a
            for a in before(order, reckoned)
        )

    before = garden.patch(order_rules, "balance", balance)


@mutant("orders")
def the_release_is_forgotten_on_a_cancel(garden: Garden) -> None:
    def without(inner: Any) -> Any:
        return lambda event, order: [one for one in inner(event, order) if one.how != "release"]

    garden.react("order", "claims_follow_the_units", without)


@mutant("orders")
def cancelled_units_stay_where_they_are(garden: Garden) -> None:
    garden.forget("order", "let_go_of_everything")


@mutant("orders")
def the_expiry_is_not_taken_back(garden: Garden) -> None:
    def anyway(inner: Any) -> Any:
        from ordermgmt.orders.messages import OrderExpired

        return lambda command, state, seen, at: [OrderExpired()]

    from ordermgmt.orders.messages import ExpireOrder

    garden.decide("order", ExpireOrder, anyway)
    garden.forget("order", "no_need_to_expire")


@mutant("orders")
def a_cancel_does_not_look_whether_goods_are_out(garden: Garden) -> None:
    from ordermgmt.orders.messages import CancelOrder, OrderCancelled

    garden.decide("order", CancelOrder, lambda _: lambda command, state, seen, at: [OrderCancelled(reason="")])


@mutant("orders")
def a_hold_does_not_stop_the_goods(garden: Garden) -> None:
    garden.patch(order_rules, "refuse_held", lambda order, moves: None)


@mutant("orders")
def one_release_lets_go_of_every_hold(garden: Garden) -> None:
    garden.evolve("order", HoldReleased, lambda inner: lambda s, e: changed(inner(s, e), holds={}))


@mutant("orders")
def placing_a_draft_forgets_its_holds(garden: Garden) -> None:
    garden.evolve("order", OrderPlaced, lambda inner: lambda s, e: changed(inner(s, e), holds={}))


@mutant("orders")
def a_taken_quote_still_ends(garden: Garden) -> None:
    garden.forget("order", "the_quote_has_ended")


@mutant("orders")
def a_quote_that_never_ends(garden: Garden) -> None:
    garden.forget("order", "the_quote_ends_by_itself")


@mutant("orders")
def a_draft_is_placed_without_its_shipping(garden: Garden) -> None:
    def place(inner: Any) -> Any:
        def decide(command: Any, state: Any, seen: Any, at: Any) -> Any:
            return inner(command, state and changed(state, charges=()), seen, at)

        return decide

    garden.decide("order", PlaceDraft, place)


@mutant("orders")
def a_channel_s_id_is_taken_twice(garden: Garden) -> None:
    def take(command: Any, state: Any, seen: Any, at: Any) -> Iterable[Any]:
        yield ReferenceGiven(
            channel=command.channel, external=command.external, order_id=command.order_id, line_id=command.line_id
        )

    garden.decide("reference", TakeReference, lambda _: take)


# Changes of orders.


@mutant("changes")
def claims_do_not_follow_an_amendment(garden: Garden) -> None:
    garden.forget("order", "claims_follow_the_amendment")


@mutant("changes")
def units_that_an_amendment_lets_go_stay_in_their_parcel(garden: Garden) -> None:
    garden.forget("shipment", "take_out_what_is_let_go")


@mutant("changes")
def a_change_that_has_ended_keeps_its_order(garden: Garden) -> None:
    garden.forget("change", "the_order_is_free")


@mutant("changes")
def the_order_does_not_know_its_change(garden: Garden) -> None:
    garden.forget("change", "the_order_knows_it")


@mutant("changes")
def the_change_outlives_its_order(garden: Garden) -> None:
    garden.forget("change", "no_change_of_what_has_ended")


@mutant("changes")
def a_confirmed_change_changes_nothing(garden: Garden) -> None:
    garden.forget("change", "amend_the_order")


@mutant("changes")
def added_units_are_not_counted(garden: Garden) -> None:
    def recast(line: Any, cast: Any) -> Any:
        return changed(before(line, cast), quantity=line.quantity)

    before = garden.patch(amended, "recast", recast)


@mutant("changes")
def an_amended_line_gains_a_cent(garden: Garden) -> None:
    before = stretches.amount
    garden.patch(amendment, "amount", lambda pieces: before(pieces) + 1)


@mutant("changes")
def claims_that_are_replaced_are_not_given_up(garden: Garden) -> None:
    garden.decide(
        "reservation", ReplaceClaims, lambda inner: lambda command, *rest: inner(changed(command, takes=()), *rest)
    )


@mutant("orders")
def nobody_sets_the_goods_aside(garden: Garden) -> None:
    garden.forget("order", "set_the_goods_aside")


@mutant("orders")
def nobody_performs_a_service(garden: Garden) -> None:
    garden.forget("order", "perform_what_needs_no_goods")


@mutant("orders")
def an_unpaid_order_never_ends(garden: Garden) -> None:
    garden.forget("order", "wait_only_so_long")


@mutant("orders")
def units_given_up_one_by_one_stay_where_they_are(garden: Garden) -> None:
    garden.forget("order", "let_go_of_some")


@mutant("orders")
def a_credit_is_forgotten(garden: Garden) -> None:
    garden.evolve("order", CreditGranted, lambda _: lambda order, event: order)


@mutant("orders")
def an_order_stands_where_it_stood(garden: Garden) -> None:
    garden.evolve("order", OrderConfirmed, lambda _: lambda order, event: order)


@mutant("orders")
def a_note_is_lost(garden: Garden) -> None:
    garden.evolve("order", NoteAdded, lambda _: lambda order, event: order)


@mutant("orders")
def a_given_up_draft_keeps_its_ids(garden: Garden) -> None:
    garden.forget("order", "a_given_up_draft_gives_its_ids_back")


@mutant("changes")
def parcels_go_to_the_old_address(garden: Garden) -> None:
    garden.forget("shipment", "parcels_go_to_the_new_address")


@mutant("orders")
def money_is_taken_for_what_waits(garden: Garden) -> None:
    garden.forget("order", "nothing_is_captured_while_it_waits")
