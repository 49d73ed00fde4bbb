"""The reference is what the code says: the pages are generated, and nothing on them is written by hand."""

import ast
import inspect
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import pytest
from attrs import frozen
from pendulum import DateTime

import ordermgmt
import ordermgmt.storage
import ordermgmt.testing
from ordermgmt import DEFAULT_CAPABILITIES, Capability, Command, Effect, Event, Refused, Rule, Seen, on, reference
from ordermgmt.describing import field_lines
from ordermgmt.engine.assembly import Assembly
from ordermgmt.orders import statuses
from ordermgmt.orders.messages import OrderConfirmed

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
SHOP = Assembly(DEFAULT_CAPABILITIES)
PAGE = reference.entities(SHOP)


def section(page: str, kind: str) -> str:
    """What a page says of one entity."""
    return page.split(f"\n## {kind}\n", 1)[1].split("\n## ", 1)[0]


@pytest.mark.parametrize("name", ["entities.md", "api.md", "values.md"])
def test_the_page_is_what_the_code_says_today(name: str) -> None:
    written = (FOLDER / name).read_text(encoding="utf-8")
    assert written == reference.pages()[name], "run `python -m ordermgmt.reference --write` and look at the difference"


@pytest.mark.parametrize("capability", SHOP.capabilities, ids=lambda capability: capability.kind)
class TestEveryEntity:
    def test_its_statuses_and_arrows_are_drawn_and_listed(self, capability: Capability[Any]) -> None:
        told = section(PAGE, capability.kind)
        for source, trigger, target in capability.lifecycle.arrows if capability.lifecycle else ():
            assert re.search(rf"{source} --> {target} : .*\b{trigger}\b", told)
            assert re.search(rf"\| .*\b{source}\b.* \| {trigger} \| {target} \|", told)

    def test_its_commands_events_and_effects_are_told_with_their_fields(self, capability: Capability[Any]) -> None:
        told = section(PAGE, capability.kind)
        for message in (*capability.rules, *capability.evolve, *capability.effects):
            assert f"- **`{message.__name__}`**" in told
            assert [line for line in field_lines(message) if f"  - {line}\n" not in f"{told}\n"] == []

    def test_what_can_be_searched_and_refused_is_told(self, capability: Capability[Any]) -> None:
        told = section(PAGE, capability.kind)
        names = [*capability.indexes, *(refusal.__name__ for refusal in capability.refusals)]
        assert [name for name in names if f"`{name}`" not in told] == []

    def test_every_reaction_stands_with_its_event_in_order(self, capability: Capability[Any]) -> None:
        told = section(PAGE, capability.kind)
        for event in capability.evolve:
            (line,) = re.findall(rf"^- \*\*`{event.__name__}`\*\*.*$", told, re.MULTILINE)
            names = re.findall(r"`(\w+)` \(\w+\)", line)
            assert names == [reaction.name for reaction in SHOP.reactions.get(event, ())]


def test_every_message_explains_itself() -> None:
    messages = [m for c in SHOP.capabilities for m in (c.state, *c.rules, *c.evolve, *c.effects, *c.refusals)]
    assert [m.__name__ for m in messages if not (vars(m).get("__doc__") or "").strip()] == []


def test_every_public_name_has_a_sentence() -> None:
    modules = (ordermgmt, ordermgmt.storage, ordermgmt.testing)
    assert [name for module in modules for name in module.__all__ if not reference._told(module, name)] == []


def test_both_front_doors_and_what_they_answer_stand_together() -> None:
    front = reference.pages()["api.md"].partition("## The front door")[2].partition("\n## ")[0]
    assert [
        name for name in ("OrderManagement", "AsyncOrderManagement", "Page", "Preview") if f"| `{name}` |" not in front
    ] == []


class TestValues:
    """Who writes a command or an adapter finds what its parts are made of."""

    page = reference.values()

    def told(self, name: str) -> str:
        """What the page says of one class or port."""
        return self.page.split(f"\n- **`{name}`**: ", 1)[1].split("\n- **", 1)[0]

    def test_every_public_class_with_fields_is_told_with_them(self) -> None:
        classes = [thing for name in ordermgmt.__all__ if attrs.has(thing := getattr(ordermgmt, name))]
        values = [cls for cls in classes if reference._sort_of(cls) == "class"]
        assert len(values) > 50
        for cls in values:
            told = self.told(cls.__name__)
            names = [field.name for field in attrs.fields(cls) if not field.name.startswith("_")]
            assert [name for name in names if f"`{name}: " not in told] == []

    def test_it_says_how_a_class_is_called_where_that_is_not_by_its_fields(self) -> None:
        told = self.told("Money")
        assert told.index("  - `amount: ") < told.index("  - *also* `minor: int`")

    def test_what_a_converter_takes_in_many_forms_is_told_as_what_it_makes(self) -> None:
        assert "`unit_price: UnitPrice`" in self.told("Line")

    def test_a_default_that_is_a_function_is_not_shown_with_its_address(self) -> None:
        assert " at 0x" not in self.page

    def test_every_port_is_told_with_its_methods(self) -> None:
        ports = [name for name in ordermgmt.__all__ if reference._sort_of(getattr(ordermgmt, name)) == "port"]
        assert [name for name in ports if not self.told(name)] == []
        assert "`execute(request, *, key, deadline)`" in self.told("PaymentGateway")
        assert "`parse_webhook(headers, body, *, now)`" in self.told("Telling")


def test_what_an_entity_works_out_of_its_fields_stands_with_it() -> None:
    assert "- `due: Money`: What the customer owes" in section(PAGE, "order")
    assert "- `available: int`: What can still be promised." in section(PAGE, "stock")


def test_every_derived_status_is_listed() -> None:
    told = section(PAGE, "order")
    for derive in (statuses.payment_status, statuses.fulfilment_status, statuses.return_status):
        (line,) = re.findall(rf"^- `{derive.__name__}: str`: (.*)\.$", told, re.MULTILINE)
        answers = [
            node.value
            for part in ast.walk(ast.parse(inspect.getsource(derive)))
            if isinstance(part, ast.Return) and part.value is not None
            for node in _ends(part.value)
        ]
        assert set(re.split(r", | or ", line)) == set(answers)


def _ends(told: ast.expr) -> list[ast.Constant]:
    """The texts that an expression may come to."""
    if isinstance(told, ast.IfExp):
        return [*_ends(told.body), *_ends(told.orelse)]
    return [told] if isinstance(told, ast.Constant) else []


def test_a_default_made_by_a_factory_is_not_shown_as_a_value() -> None:
    lines = list(field_lines(ordermgmt.Order))
    assert (
        "`payments: dict[str, Tally] = …`: By payment id: equal to the payments themselves, moved in the same commit."
        in lines
    )


def test_pages_are_written_into_a_clone_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reference, "__file__", str(tmp_path / "a" / "b" / "reference.py"))
    assert reference.main(["--write"]) == 1
    assert "clone" in capsys.readouterr().err
    (tmp_path / "docs" / "reference").mkdir(parents=True)
    assert reference.main(["--write"]) == 0
    assert (tmp_path / "docs" / "reference" / "entities.md").read_text(encoding="utf-8") == PAGE


def test_the_page_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert reference.main([]) == 0
    assert capsys.readouterr().out == PAGE
    assert reference.main(["--help"]) == 2


class TestAHostsOwnShop:
    """A host documents what it redrew and added with the same function."""

    def test_a_redrawn_lifecycle_is_drawn_as_the_host_drew_it(self) -> None:
        orders = ordermgmt.orders
        assert orders.lifecycle is not None
        drawn = orders.lifecycle.redrawn(
            remove=[("placed", "confirm")],
            add=[("placed", "review", "in_review"), ("in_review", "confirm", "confirmed")],
        )
        shop = Assembly([orders.redrawn(drawn) if c is orders else c for c in DEFAULT_CAPABILITIES])
        told = section(reference.entities(shop), "order")
        assert "placed --> in_review : review" in told
        assert "placed --> confirmed" not in told

    def test_a_capability_of_the_hosts_is_told_with_its_key_effect_and_reaction(self) -> None:
        def thank(event: OrderConfirmed, order: ordermgmt.Order) -> Iterable[Command[Any]]:
            yield WriteCard(card_id=order.order_id)

        cards = Capability(
            kind="card",
            state=Card,
            rules={WriteCard: Rule(write, lambda command: command.card_id)},
            evolve={CardWritten: lambda state, event: Card(card_id=event.card_id)},
            effects=(PostCard,),
            refusals=(NoMoreCards,),
            reactions=on(OrderConfirmed, thank),
        )
        page = reference.entities(Assembly([*DEFAULT_CAPABILITIES, cards]))
        told = section(page, "card")
        assert "- Key: `card_id`" in told
        assert "- **`WriteCard`** → `Card`: Thank a customer by hand." in told
        assert "Port `ports[post]`, lane `card/{card_id}`, settled with `{card_id}`." in told
        assert "`NoMoreCards`" in told
        assert "`thank` (" in section(page, "order")


@frozen(kw_only=True)
class Card:
    """A card to a customer."""

    card_id: str


@frozen(kw_only=True)
class WriteCard(Command[Card]):
    """Thank a customer by hand."""

    card_id: str


@frozen(kw_only=True)
class CardWritten(Event):
    """A card lies on the desk."""

    card_id: str


@frozen(kw_only=True)
class PostCard(Effect):
    """Take it to the post."""

    card_id: str

    @property
    def port(self) -> tuple[str, str]:
        return ("ports", "post")

    @property
    def lane(self) -> str:
        return f"card/{self.card_id}"

    @property
    def group(self) -> str:
        return self.card_id


class NoMoreCards(Refused):
    """The box is empty."""


def write(command: WriteCard, state: Card | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    yield CardWritten(card_id=command.card_id)
