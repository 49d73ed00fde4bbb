"""What a chart may say, what a lifecycle answers, and how a host redraws one."""

from collections.abc import Callable
from types import new_class

import pytest
from statemachine import Event, HistoryState, State, StateChart, StateMachine
from statemachine.states import States

from ordermgmt.drawing import markdown, mermaid, unit_arrows_mermaid
from ordermgmt.engine.lifecycle import Arrow, InvalidLifecycle, Lifecycle
from ordermgmt.errors import OrderManagementError
from ordermgmt.orders.lifecycle import BUCKETS, ORDER, UNIT_ARROWS, OrderChart
from ordermgmt.refunds.lifecycle import REFUND


class DoorLockChart(StateMachine):
    shut = State(initial=True)
    ajar = State()
    bricked_up = State(final=True)

    pull = shut.to(ajar)
    push = ajar.to(shut)
    brick_up = bricked_up.from_(shut, ajar)


DOOR_LOCK = Lifecycle.of(DoorLockChart)


# What a lifecycle answers.


def test_a_lifecycle_is_read_in_the_order_of_its_chart():
    assert DOOR_LOCK.name == "door_lock"
    assert DOOR_LOCK.statuses == ("shut", "ajar", "bricked_up")
    assert DOOR_LOCK.initial == "shut"
    assert DOOR_LOCK.final == {"bricked_up"}
    assert DOOR_LOCK.triggers == ("pull", "push", "brick_up")
    assert DOOR_LOCK.arrows == (
        Arrow("shut", "pull", "ajar"),
        Arrow("ajar", "push", "shut"),
        Arrow("shut", "brick_up", "bricked_up"),
        Arrow("ajar", "brick_up", "bricked_up"),
    )
    assert DOOR_LOCK.table == {(source, trigger): target for source, trigger, target in DOOR_LOCK.arrows}


def test_after_follows_the_arrow_or_says_there_is_none():
    assert DOOR_LOCK.after("shut", "pull") == "ajar"
    assert DOOR_LOCK.after("ajar", "pull") is None
    assert DOOR_LOCK.after("bricked_up", "pull") is None
    assert DOOR_LOCK.after("shut", "whistle") is None
    assert DOOR_LOCK.after("nowhere", "pull") is None


def test_allowed_names_the_triggers_drawn_from_a_status():
    assert DOOR_LOCK.allowed("shut") == ("pull", "brick_up")
    assert DOOR_LOCK.allowed("bricked_up") == ()
    assert DOOR_LOCK.allowed("nowhere") == ()


def test_a_lifecycle_is_a_value_nobody_can_change():
    assert Lifecycle.of(DoorLockChart) == DOOR_LOCK
    assert hash(Lifecycle.of(DoorLockChart)) == hash(DOOR_LOCK)
    with pytest.raises(AttributeError):
        DOOR_LOCK.initial = "ajar"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(TypeError):
        DOOR_LOCK.table["shut", "pull"] = "shut"  # type: ignore[index]  # pyright: ignore[reportIndexIssue]
    with pytest.raises(TypeError):
        DOOR_LOCK.moved["open"] = "ajar"  # type: ignore[index]  # pyright: ignore[reportIndexIssue]


def test_a_trigger_may_be_called_send():
    assert REFUND.after("approved", "send") == "pending"
    assert "send" in REFUND.triggers


# What a chart may not say. One row per refusal: the class body that is refused, and what the refusal says about it.


def with_an_action_on_an_arrow():
    class DoorChart(StateMachine):
        shut = State(initial=True)
        ajar = State(final=True)
        pull = shut.to(ajar, on=print)

    return DoorChart


def with_an_action_before_an_arrow():
    class DoorChart(StateMachine):
        shut = State(initial=True)
        ajar = State(final=True)
        pull = shut.to(ajar, before="creak")

        def creak(self):
            pass

    return DoorChart


def with_an_action_after_an_arrow():
    class DoorChart(StateMachine):
        shut = State(initial=True)
        ajar = State(final=True)
        pull = shut.to(ajar)

        @pull.after
        def creak(self):
            pass

    return DoorChart


def with_an_arrow_that_is_a_method():
    class DoorChart(StateMachine):
        shut = State(initial=True)
        ajar = State(final=True)

        @shut.to(ajar)
        def pull(self):
            pass

    return DoorChart


def with_an_enter_action():
    class DoorChart(StateMachine):
        shut = State(initial=True)
        ajar = State(final=True, enter=print)
        pull = shut.to(ajar)

    return DoorChart


def with_an_exit_action():
    class DoorChart(StateMachine):
        shut = State(initial=True, exit=print)
        ajar = State(final=True)
        pull = shut.to(ajar)

    return DoorChart


def with_an_invoked_job():
    class DoorChart(StateMachine):
        shut = State(initial=True)
        ajar = State(final=True, invoke=print)
        pull = shut.to(ajar)

    return DoorChart


def with_a_validator():
    class DoorChart(StateMachine):
        shut = State(initial=True)
        ajar = State(final=True)
        pull = shut.to(ajar, validators=print)

    return DoorChart


def with_a_guard():
    class DoorChart(StateMachine):
        shut = State(initial=True)
        ajar = State(final=True)
        pull = shut.to(ajar, cond="unlocked")
        unlocked = True

    return DoorChart


def with_a_negative_guard():
    class DoorChart(StateMachine):
        shut = State(initial=True)
        ajar = State(final=True)
        pull = shut.to(ajar, unless="locked")
        locked = False

    return DoorChart


def with_a_method_called(name: str) -> Callable[[], type[StateMachine]]:
    def build() -> type[StateMachine]:
        shut, ajar = State(initial=True), State(final=True)
        body = {"shut": shut, "ajar": ajar, "pull": shut.to(ajar), name: lambda self: None}
        return new_class("DoorChart", (StateMachine,), exec_body=lambda namespace: namespace.update(body))

    return build


def with_a_method_in_a_mixin():
    class Creaking:
        def on_pull(self):
            pass

    class DoorChart(Creaking, StateMachine):
        shut = State(initial=True)
        ajar = State(final=True)
        pull = shut.to(ajar)

    return DoorChart


def with_a_trigger_that_would_be_called():
    class DoorChart(StateMachine):
        shut = State(initial=True)
        ajar = State(final=True)
        pull = shut.to(ajar)
        on_pull = shut.to(ajar)

    return DoorChart


def with_a_listener():
    class DoorChart(StateMachine):
        listeners = [object()]  # noqa: RUF012 (python-statemachine's own way to declare one)
        shut = State(initial=True)
        ajar = State(final=True)
        pull = shut.to(ajar)

    return DoorChart


def with_an_eventless_arrow():
    class DoorChart(StateMachine):
        shut = State(initial=True)
        ajar = State()
        wide = State(final=True)
        pull = shut.to(ajar)
        ajar.to(wide)

    return DoorChart


def with_an_arrow_to_nowhere():
    class DoorChart(StateMachine):
        shut = State(initial=True)
        ajar = State(final=True)
        pull = shut.to(ajar)
        knock = shut.to(None)

    return DoorChart


def with_a_nested_state():
    class DoorChart(StateMachine):
        class shut(State.Compound):  # noqa: N801 (a state's name is a status)
            locked = State(initial=True)
            unlocked = State()
            unlock = locked.to(unlocked)

        ajar = State(final=True)
        pull = shut.to(ajar)

    return DoorChart


def with_a_parallel_state():
    class DoorChart(StateMachine):
        class shut(State.Parallel):  # noqa: N801 (a state's name is a status)
            class lock(State.Compound):  # noqa: N801
                locked = State(initial=True)
                unlocked = State()
                unlock = locked.to(unlocked)

            class bell(State.Compound):  # noqa: N801
                silent = State(initial=True)
                ringing = State()
                ring = silent.to(ringing)

        ajar = State(final=True)
        pull = shut.to(ajar)

    return DoorChart


def with_a_history_state():
    class DoorChart(StateMachine):
        class shut(State.Compound):  # noqa: N801 (a state's name is a status)
            locked = State(initial=True)
            unlocked = State()
            unlock = locked.to(unlocked)
            last = HistoryState()

        ajar = State()
        gone = State(final=True)
        pull = shut.to(ajar)
        push = ajar.to(shut.last)  # pyright: ignore[reportAttributeAccessIssue]
        remove = ajar.to(gone)

    return DoorChart


def with_the_same_trigger_twice():
    class DoorChart(StateMachine):
        shut = State(initial=True)
        ajar = State(final=True)
        wide = State(final=True)
        pull = shut.to(ajar) | shut.to(wide)

    return DoorChart


def with_the_same_arrow_twice():
    class DoorChart(StateMachine):
        shut = State(initial=True)
        ajar = State(final=True)
        pull = shut.to(ajar) | shut.to(ajar)

    return DoorChart


def with_inherited_states():
    class HouseDoorChart(StateMachine):
        shut = State(initial=True)
        ajar = State(final=True)
        pull = shut.to(ajar)

    class DoorChart(HouseDoorChart):
        pass

    return DoorChart


def with_an_arrow_drawn_by_a_subclass():
    class DoorChart(StateMachine):
        shut = State(initial=True)
        ajar = State(final=True)
        pull = shut.to(ajar)

    class MeddlingChart(DoorChart):
        smash = DoorChart.shut.to(DoorChart.ajar)

    return DoorChart


def with_a_state_drawn_by_a_subclass():
    class DoorChart(StateMachine):
        shut = State(initial=True)
        ajar = State(final=True)
        pull = shut.to(ajar)

    class MeddlingChart(DoorChart):
        gone = State(final=True)
        pull = DoorChart.shut.to(gone)

    return DoorChart


def with_forgiving_settings():
    class DoorChart(StateMachine):
        allow_event_without_transition = True
        shut = State(initial=True)
        ajar = State(final=True)
        pull = shut.to(ajar)

    return DoorChart


def with_dead_ends_permitted():
    class DoorChart(StateMachine):
        validate_trap_states = False
        shut = State(initial=True)
        ajar = State()
        pull = shut.to(ajar)

    return DoorChart


def with_the_swallowing_base():
    class DoorChart(StateChart[object]):
        shut = State(initial=True)
        ajar = State(final=True)
        pull = shut.to(ajar)

    return DoorChart


def with_nothing_in_it():
    class DoorChart(StateMachine):
        pass

    return DoorChart


def with_a_value_for_a_status():
    class DoorChart(StateMachine):
        shut = State(initial=True, value=1)
        ajar = State(final=True)
        pull = shut.to(ajar)

    return DoorChart


def with_no_end():
    class DoorChart(StateMachine):
        shut = State(initial=True)
        ajar = State()
        pull = shut.to(ajar)
        push = ajar.to(shut)

    return DoorChart


def with_a_delayed_trigger():
    class DoorChart(StateMachine):
        shut = State(initial=True)
        ajar = State(final=True)
        pull = Event(shut.to(ajar), delay=100)

    return DoorChart


def with_an_internal_trigger():
    class DoorChart(StateMachine):
        shut = State(initial=True)
        ajar = State(final=True)
        pull = Event(shut.to(ajar), internal=True)

    return DoorChart


def with_a_dotted_trigger():
    class DoorChart(StateMachine):
        shut = State(initial=True)
        ajar = State(final=True)
        pull = Event(shut.to(ajar), id="pull.hard")

    return DoorChart


def with_a_status_in_capitals():
    class DoorChart(StateMachine):
        SHUT = State(initial=True)
        ajar = State(final=True)
        pull = SHUT.to(ajar)

    return DoorChart


def with_a_status_python_statemachine_needs():
    class DoorChart(StateMachine):
        _ = States({"model": State(initial=True), "ajar": State(final=True)})
        pull = _.model.to(_.ajar)

    return DoorChart


def with_a_trigger_python_statemachine_needs():
    class DoorChart(StateMachine):
        shut = State(initial=True)
        ajar = State(final=True)
        pull = Event(shut.to(ajar), id="configuration")

    return DoorChart


def with_a_word_for_both():
    class DoorChart(StateMachine):
        shut = State(initial=True)
        ajar = State(final=True)
        pull = Event(shut.to(ajar), id="ajar")

    return DoorChart


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (with_an_action_on_an_arrow, "the arrow 'pull' from 'shut' has a callback"),
        (with_an_action_before_an_arrow, "the arrow 'pull' from 'shut' has a callback"),
        (with_an_action_after_an_arrow, "the arrow 'pull' from 'shut' has a callback"),
        (with_an_arrow_that_is_a_method, "the arrow 'pull' from 'shut' has a callback"),
        (with_an_enter_action, "the state 'ajar' has a callback"),
        (with_an_exit_action, "the state 'shut' has a callback"),
        (with_an_invoked_job, "the state 'ajar' has a callback"),
        (with_a_validator, "the arrow 'pull' from 'shut' has a callback"),
        (with_a_guard, "the arrow 'pull' from 'shut' has a callback"),
        (with_a_negative_guard, "the arrow 'pull' from 'shut' has a callback"),
        (with_a_method_called("prepare_event"), "'prepare_event' would be called by the chart"),
        (with_a_method_called("before_transition"), "'before_transition' would be called by the arrow 'pull'"),
        (with_a_method_called("on_transition"), "'on_transition' would be called by the arrow 'pull'"),
        (with_a_method_called("after_transition"), "'after_transition' would be called by the arrow 'pull'"),
        (with_a_method_called("before_pull"), "'before_pull' would be called by the arrow 'pull'"),
        (with_a_method_called("on_pull"), "'on_pull' would be called by the arrow 'pull'"),
        (with_a_method_called("after_pull"), "'after_pull' would be called by the arrow 'pull'"),
        (with_a_method_called("on_enter_state"), "'on_enter_state' would be called by the state 'shut'"),
        (with_a_method_called("on_exit_state"), "'on_exit_state' would be called by the state 'shut'"),
        (with_a_method_called("on_enter_ajar"), "'on_enter_ajar' would be called by the state 'ajar'"),
        (with_a_method_called("on_exit_shut"), "'on_exit_shut' would be called by the state 'shut'"),
        (with_a_method_called("on_invoke_ajar"), "'on_invoke_ajar' would be called by the state 'ajar'"),
        (with_a_method_in_a_mixin, "'on_pull' would be called by the arrow 'pull'"),
        (with_a_trigger_that_would_be_called, "'on_pull' would be called by the arrow 'pull'"),
        (with_a_listener, "has listeners"),
        (with_an_eventless_arrow, "an arrow from 'ajar' has no trigger"),
        (with_an_arrow_to_nowhere, "an arrow from 'shut' does not lead to one state of this chart"),
        (with_a_nested_state, "'shut' is a nested, parallel or history state"),
        (with_a_parallel_state, "'shut' is a nested, parallel or history state"),
        (with_a_history_state, "'shut' is a nested, parallel or history state"),
        (with_the_same_trigger_twice, "'pull' is drawn twice from 'shut'"),
        (with_the_same_arrow_twice, "'pull' is drawn twice from 'shut'"),
        (with_inherited_states, "inherits the states of HouseDoorChart, which it would change"),
        (with_an_arrow_drawn_by_a_subclass, "'smash' was drawn into this chart's states from outside"),
        (with_a_state_drawn_by_a_subclass, "an arrow from 'shut' does not lead to one state of this chart"),
        (with_forgiving_settings, "sets allow_event_without_transition"),
        (with_dead_ends_permitted, "sets validate_trap_states"),
        (with_the_swallowing_base, "is no StateMachine"),
        (with_nothing_in_it, "has no states"),
        (with_a_value_for_a_status, "'shut' has the value 1"),
        (with_no_end, "has no final status"),
        (with_a_delayed_trigger, "'pull' is delayed or internal"),
        (with_an_internal_trigger, "'pull' is delayed or internal"),
        (with_a_dotted_trigger, "'pull.hard' is no name"),
        (with_a_status_in_capitals, "'SHUT' is no name"),
        (with_a_status_python_statemachine_needs, "'model' means something to python-statemachine"),
        (with_a_trigger_python_statemachine_needs, "'configuration' means something to python-statemachine"),
        (with_a_word_for_both, "'ajar' is a status and a trigger"),
    ],
)
def test_a_chart_that_says_more_than_a_table_can_hold_is_refused(build: Callable[[], type[StateMachine]], says: str):
    chart = build()
    with pytest.raises(InvalidLifecycle) as refused:
        Lifecycle.of(chart)
    assert refused.value.lifecycle == "door"
    assert says in refused.value.problem
    assert says in str(refused.value)
    assert isinstance(refused.value, OrderManagementError)


# How a host redraws a lifecycle.


def with_fraud_review() -> Lifecycle:
    return ORDER.redrawn(
        remove=[("placed", "confirm")],
        add=[
            ("placed", "review", "fraud_review"),
            ("fraud_review", "confirm", "confirmed"),
            ("fraud_review", "clear", "placed"),
            ("fraud_review", "reject", "rejected"),
        ],
    )


def test_a_host_can_put_a_fraud_review_between_placed_and_confirmed():
    reviewed = with_fraud_review()
    assert reviewed.name == "order"
    assert reviewed.statuses == (*ORDER.statuses, "fraud_review")
    assert reviewed.after("placed", "confirm") is None
    assert reviewed.after("placed", "review") == "fraud_review"
    assert reviewed.after("fraud_review", "confirm") == "confirmed"
    assert set(reviewed.allowed("fraud_review")) == {"confirm", "clear", "reject"}
    assert set(ORDER.arrows) - set(reviewed.arrows) == {Arrow("placed", "confirm", "confirmed")}


def test_redrawing_leaves_the_original_and_its_chart_as_they_were():
    arrows, drawn = ORDER.arrows, mermaid(ORDER)
    with_fraud_review()
    assert ORDER.arrows == arrows
    assert mermaid(ORDER) == drawn
    assert Lifecycle.of(OrderChart) == ORDER


def test_only_triggers_no_event_of_ours_carries_are_the_hosts_own():
    assert ORDER.own_triggers == frozenset()
    assert with_fraud_review().own_triggers == {"review", "clear"}
    again = with_fraud_review().redrawn(add=[("confirmed", "escalate", "fraud_review")])
    assert again.own_triggers == {"review", "clear", "escalate"}


def test_a_trigger_of_ours_stays_ours_even_if_all_its_arrows_were_redrawn():
    redrawn = ORDER.redrawn(remove=[("placed", "reject")], add=[("confirmed", "reject", "rejected")])
    assert redrawn.own_triggers == frozenset()


def test_arrows_may_be_removed_whole_or_by_source_and_trigger():
    by_key = ORDER.redrawn(remove=[("draft", "cancel")])
    assert by_key.after("draft", "cancel") is None
    assert ORDER.redrawn(remove=[("draft", "cancel", "cancelled")]) == by_key
    assert ORDER.redrawn(remove=[Arrow("draft", "cancel", "cancelled")]) == by_key


def test_an_arrow_may_be_led_elsewhere():
    redrawn = ORDER.redrawn(
        remove=[("placed", "reject")], add=[("placed", "reject", "cancelled"), ("draft", "reject", "rejected")]
    )
    assert redrawn.after("placed", "reject") == "cancelled"


def test_a_redrawing_that_changes_nothing_is_the_same_lifecycle():
    assert ORDER.redrawn() == ORDER
    assert ORDER.redrawn(remove=[("draft", "place")], add=[("draft", "place", "placed")]).table == ORDER.table


def test_a_new_status_may_end_the_life():
    redrawn = ORDER.redrawn(add=[("placed", "lapse", "lapsed")], final=["lapsed"])
    assert redrawn.final == ORDER.final | {"lapsed"}
    assert redrawn.allowed("lapsed") == ()


def test_stored_entities_follow_a_status_that_is_removed():
    redrawn = ORDER.redrawn(remove=["rejected"], moved={"rejected": "cancelled"})
    assert "rejected" not in redrawn.statuses
    assert "reject" not in redrawn.triggers
    assert redrawn.moved == {"rejected": "cancelled"}
    assert redrawn.current("rejected") == "cancelled"
    assert redrawn.current("placed") == "placed"
    assert redrawn.current("lost_and_found") is None


def test_the_first_status_may_be_renamed():
    redrawn = DOOR_LOCK.redrawn(
        remove=["shut"],
        add=[
            ("closed_door", "pull", "ajar"),
            ("ajar", "push", "closed_door"),
            ("closed_door", "brick_up", "bricked_up"),
        ],
        moved={"shut": "closed_door"},
    )
    assert redrawn.initial == "closed_door"
    assert redrawn.current("shut") == "closed_door"


def test_moves_are_followed_through_several_redrawings():
    first = with_fraud_review()
    second = first.redrawn(
        remove=["fraud_review"], add=[("placed", "confirm", "confirmed")], moved={"fraud_review": "placed"}
    )
    third = second.redrawn(
        remove=["placed"],
        add=[("draft", "place", "ordered"), ("ordered", "confirm", "confirmed"), ("ordered", "reject", "rejected")],
        moved={"placed": "ordered"},
    )
    assert third.moved == {"fraud_review": "ordered", "placed": "ordered"}
    fourth = third.redrawn(add=[("ordered", "review", "fraud_review"), ("fraud_review", "confirm", "confirmed")])
    assert fourth.moved == {"placed": "ordered"}
    assert fourth.current("fraud_review") == "fraud_review"


def test_a_status_only_an_earlier_release_of_the_host_had_may_be_moved():
    assert ORDER.redrawn(moved={"fraud_review": "placed"}).current("fraud_review") == "placed"


@pytest.mark.parametrize(
    ("redraw", "says"),
    [
        ({"remove": [("placed", "confirm")]}, ["confirmed", "closed"]),
        ({"add": [("placed", "review", "fraud_review")]}, ["fraud_review"]),
        ({"add": [("attic", "confirm", "confirmed")]}, ["attic"]),
        (
            {"add": [("placed", "review", "one"), ("one", "pass_on", "other"), ("other", "pass_back", "one")]},
            ["one", "other"],
        ),
        ({"add": [("closed", "reopen", "confirmed")]}, ["closed"]),
        ({"add": [("placed", "confirm", "closed")]}, ["'confirm' is drawn twice from 'placed'"]),
        ({"remove": [("placed", "ship")]}, ["('placed', 'ship')", "no such arrow"]),
        ({"remove": [("placed", "confirm", "closed")]}, ["('placed', 'confirm', 'closed')", "no such arrow"]),
        ({"remove": ["attic"], "moved": {"attic": "placed"}}, ["'attic'", "no such status"]),
        ({"remove": ["rejected"]}, ["'rejected' is removed: say in `moved`"]),
        ({"remove": ["rejected"], "moved": {"rejected": "attic"}}, ["'attic' cannot be moved to"]),
        (
            {"remove": ["rejected", "expired"], "moved": {"rejected": "expired", "expired": "closed"}},
            ["'expired' cannot"],
        ),
        ({"moved": {"placed": "confirmed"}}, ["'placed' is moved, but it is still a status"]),
        (
            {"remove": ["rejected"], "add": [("draft", "reject", "rejected")], "moved": {"rejected": "closed"}},
            ["'rejected' is removed and drawn again"],
        ),
        ({"final": ["attic"]}, ["'attic' cannot be final"]),
        ({"final": ["placed"]}, ["placed"]),
        ({"add": [("placed", "Review it", "closed")]}, ["'Review it' is no name"]),
        ({"add": [("placed", "review", "états")]}, ["'états' is no name"]),
        ({"add": [("placed", "raise_", "closed")]}, ["'raise_' means something to python-statemachine"]),
        ({"add": [("placed", "review", "name"), ("name", "close", "closed")]}, ["'name' means something"]),
        ({"add": [("placed", "review", "send"), ("send", "close", "closed")]}, ["'send' means something"]),
        ({"add": [("placed", "confirmed", "closed")]}, ["'confirmed' is a status and a trigger"]),
        ({"add": [("placed", "on_confirm", "closed")]}, ["'on_confirm' would be called by"]),
    ],
)
def test_a_redrawing_that_is_no_lifecycle_is_refused_by_name(redraw: dict[str, object], says: list[str]):
    with pytest.raises(InvalidLifecycle) as refused:
        ORDER.redrawn(**redraw)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert refused.value.lifecycle == "order"
    for words in says:
        assert words in refused.value.problem


# Drawings, made from the tables.


def test_a_lifecycle_is_drawn_as_a_mermaid_diagram():
    redrawn = DOOR_LOCK.redrawn(add=[("shut", "kick", "ajar")])
    assert mermaid(redrawn) == (
        "stateDiagram-v2\n"
        "    [*] --> shut\n"
        "    shut --> ajar : pull / kick\n"
        "    shut --> bricked_up : brick_up\n"
        "    ajar --> shut : push\n"
        "    ajar --> bricked_up : brick_up\n"
        "    bricked_up --> [*]\n"
    )


def test_a_lifecycle_is_written_as_a_table():
    assert markdown(DOOR_LOCK) == (
        "| from | trigger | to |\n"
        "|---|---|---|\n"
        "| shut | pull | ajar |\n"
        "| ajar | push | shut |\n"
        "| shut, ajar | brick_up | bricked_up |\n"
    )


def test_the_drawing_of_the_units_shows_every_arrow_and_where_units_begin_and_end():
    lines = unit_arrows_mermaid(UNIT_ARROWS).splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> open : add"]
    assert lines[-1] == "    cancelled --> [*]"
    assert "    reserved --> backordered : displace" in lines
    for arrow in UNIT_ARROWS.values():
        for source in arrow.sources:
            assert any(line.startswith(f"    {source} --> {arrow.target} : ") and arrow.name in line for line in lines)


def test_unit_arrows_lead_from_bucket_to_bucket_and_reach_each():
    for name, arrow in UNIT_ARROWS.items():
        assert name == arrow.name
        assert {*arrow.sources, arrow.target} <= set(BUCKETS)
    assert {arrow.target for arrow in UNIT_ARROWS.values()} == set(BUCKETS)


def test_unit_arrows_cannot_be_changed():
    with pytest.raises(TypeError):
        UNIT_ARROWS["steal"] = UNIT_ARROWS["add"]  # type: ignore[index]  # pyright: ignore[reportIndexIssue]
