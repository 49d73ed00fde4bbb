"""The live machine and the compiled table, walked side by side: they must agree on every step, taken or refused."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statemachine import StateMachine
from statemachine.exceptions import TransitionNotAllowed

from ordermgmt.engine.lifecycle import InvalidLifecycle, Lifecycle
from ordermgmt.orders.lifecycle import ORDER, OrderChart
from ordermgmt.payments.lifecycle import PAYMENT, PaymentChart
from ordermgmt.refunds.lifecycle import REFUND, RefundChart
from ordermgmt.returns.lifecycle import RETURN, ReturnChart
from ordermgmt.shipments.lifecycle import SHIPMENT, ShipmentChart
from ordermgmt.stock.lifecycle import RESERVATION, ReservationChart

CHARTS = [
    (OrderChart, ORDER),
    (PaymentChart, PAYMENT),
    (ReservationChart, RESERVATION),
    (ShipmentChart, SHIPMENT),
    (RefundChart, REFUND),
    (ReturnChart, RETURN),
]
every_chart = pytest.mark.parametrize(("chart", "lifecycle"), CHARTS, ids=[lifecycle.name for _, lifecycle in CHARTS])


def status_of(machine: StateMachine) -> str:
    (status,) = machine.configuration_values
    return str(status)


def allowed_by(machine: StateMachine) -> set[str]:
    return {str(event) for event in machine.allowed_events}


def after_sending(machine: StateMachine, trigger: str) -> str | None:
    """Where the live machine goes, or None if it refuses to."""
    before = status_of(machine)
    try:
        # Not machine.send: the trigger `send` of a refund hides it.
        StateMachine.send(machine, trigger)
    except TransitionNotAllowed:
        assert status_of(machine) == before
        return None
    return status_of(machine)


def walk_side_by_side(chart: type[StateMachine], lifecycle: Lifecycle, triggers: Iterable[str]) -> None:
    machine, status = chart(), lifecycle.initial
    assert status_of(machine) == status
    for trigger in triggers:
        assert allowed_by(machine) == set(lifecycle.allowed(status))
        expected = lifecycle.after(status, trigger)
        assert after_sending(machine, trigger) == expected
        assert (expected is not None) == (trigger in lifecycle.allowed(status))
        status = status if expected is None else expected
        assert machine.is_terminated == (status in lifecycle.final)


def walks(lifecycle: Lifecycle) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from([*lifecycle.triggers, "whistle"]), max_size=25)


@every_chart
def test_machine_and_table_agree_on_every_step_from_every_status(chart: type[StateMachine], lifecycle: Lifecycle):
    for status in lifecycle.statuses:
        for trigger in [*lifecycle.triggers, "whistle"]:
            machine = chart(start_value=status)
            assert allowed_by(machine) == set(lifecycle.allowed(status))
            assert after_sending(machine, trigger) == lifecycle.after(status, trigger)


@every_chart
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_machine_and_table_agree_on_every_walk(chart: type[StateMachine], lifecycle: Lifecycle, data: st.DataObject):
    walk_side_by_side(chart, lifecycle, data.draw(walks(lifecycle)))


@every_chart
def test_a_lifecycle_drawn_as_a_chart_and_read_again_is_the_same(chart: type[StateMachine], lifecycle: Lifecycle):
    assert Lifecycle.of(lifecycle.chart()) == lifecycle
    assert lifecycle.chart() is not chart


@st.composite
def redrawings(draw: st.DrawFn, lifecycle: Lifecycle) -> Lifecycle:
    """Some redrawing of `lifecycle` that is one: steps that are no lifecycle are refused and left out."""
    redrawn = lifecycle
    for _ in range(draw(st.integers(1, 4))):
        try:
            redrawn = draw(st.sampled_from([cut, linked, detoured, without]))(draw, redrawn)
        except InvalidLifecycle:
            continue
    return redrawn


def cut(draw: st.DrawFn, lifecycle: Lifecycle) -> Lifecycle:
    return lifecycle.redrawn(remove=[draw(st.sampled_from(lifecycle.arrows))])


def linked(draw: st.DrawFn, lifecycle: Lifecycle) -> Lifecycle:
    source, target = draw(st.sampled_from(lifecycle.statuses)), draw(st.sampled_from(lifecycle.statuses))
    return lifecycle.redrawn(add=[(source, draw(st.sampled_from([*lifecycle.triggers, "jump"])), target)])


def detoured(draw: st.DrawFn, lifecycle: Lifecycle) -> Lifecycle:
    """An arrow led through a new status, as a host puts a review between two of ours."""
    arrow = draw(st.sampled_from(lifecycle.arrows))
    new = f"review_{len(lifecycle.statuses)}"
    return lifecycle.redrawn(
        remove=[arrow], add=[(arrow.source, "look_at", new), (new, arrow.trigger, arrow.target), (new, "repeat", new)]
    )


def without(draw: st.DrawFn, lifecycle: Lifecycle) -> Lifecycle:
    gone, heir = draw(st.permutations(lifecycle.statuses))[:2]
    return lifecycle.redrawn(remove=[gone], moved={gone: heir})


@every_chart
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_machine_and_table_agree_on_every_walk_of_every_redrawing(
    chart: type[StateMachine], lifecycle: Lifecycle, data: st.DataObject
):
    redrawn = data.draw(redrawings(lifecycle))
    walk_side_by_side(redrawn.chart(), redrawn, data.draw(walks(redrawn)))
    assert Lifecycle.of(redrawn.chart()).table == redrawn.table
    assert {redrawn.current(status) for status in lifecycle.statuses} <= set(redrawn.statuses)
    assert Lifecycle.of(chart) == lifecycle


@every_chart
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_status_of_every_redrawing_can_be_reached_and_can_end(
    chart: type[StateMachine], lifecycle: Lifecycle, data: st.DataObject
):
    redrawn = data.draw(redrawings(lifecycle))
    assert reached_from(redrawn, redrawn.initial) == set(redrawn.statuses)
    for status in redrawn.statuses:
        assert reached_from(redrawn, status) & redrawn.final


def reached_from(lifecycle: Lifecycle, status: str) -> set[str]:
    reached, ahead = {status}, [status]
    while ahead:
        here = ahead.pop()
        there = {arrow.target for arrow in lifecycle.arrows if arrow.source == here} - reached
        reached |= there
        ahead += there
    return reached
