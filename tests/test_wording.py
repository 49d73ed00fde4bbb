"""What is counted is told as people count: one unit, two units."""

import ast
import re
from pathlib import Path

import pytest

from ordermgmt.engine.messages import counted
from ordermgmt.orders.rules import AlreadyShipped, NotEnoughUnits

SOURCE = Path(__file__).resolve().parent.parent / "src" / "ordermgmt"
COUNTED = re.compile(
    r" (attempts|breaches|calls|cells|charges|commands|commits|connections|deeds|discrepancies|effects|entities|events"
    r"|fields|items|lines|lookups|moves|notices|orders|parcels|payments|pieces|refunds|requests|rows|shares|tenders"
    r"|units|values|worlds|workers)\b"
)


@pytest.mark.parametrize(
    ("n", "told"), [(0, "0 units"), (1, "1 unit"), (2, "2 units"), (-1, "-1 units"), (1_000, "1,000 units")]
)
def test_one_is_told_otherwise_than_many(n, told):
    assert counted(n, "unit") == told


def test_a_plural_may_have_a_form_of_its_own():
    assert [counted(n, "entity", "entities") for n in (1, 2)] == ["1 entity", "2 entities"]


def test_a_refusal_agrees_with_its_numbers():
    assert str(AlreadyShipped("A", 1, 2)).startswith("order A: 1 unit has left the house")
    assert "2 units are to walk 'ship', but only 1 stands where" in str(NotEnoughUnits("A", "1", "ship", 2, 1))


def counted_by_hand(source: str) -> list[str]:
    """Values in f-strings before a word in the plural: ``{n} units``.  A limit, in capitals, is never one."""
    found: list[str] = []
    for text in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.JoinedStr)):
        for value, after in zip(text.values, text.values[1:], strict=False):
            if not isinstance(value, ast.FormattedValue) or not isinstance(after, ast.Constant):
                continue
            told, many = ast.unparse(value.value), COUNTED.match(str(after.value))
            if many and not told.isupper() and not told.endswith("_max"):
                found.append(told + many[0])
    return found


def test_numbers_are_not_put_before_a_plural_by_hand():
    assert counted_by_hand("f'{n} units and {MOST} lines; {name} is {one.n:,} parcels'") == ["n units", "one.n parcels"]
    found = {
        f"{path.relative_to(SOURCE)}: {told}"
        for path in SOURCE.rglob("*.py")
        for told in counted_by_hand(path.read_text(encoding="utf-8"))
    }
    assert sorted(found) == []
