"""Who may import whom: capabilities form a ladder, the engine knows none of them, the core loads no test tool."""

import ast
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import attrs
import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src" / "ordermgmt"

# Each capability, and those it may name. A new capability is placed here when its folder is added.
MAY_NAME: Mapping[str, frozenset[str]] = {
    "stock": frozenset(),
    "payments": frozenset(),
    "orders": frozenset({"stock", "payments"}),
    "shipments": frozenset({"stock", "payments", "orders"}),
    "changes": frozenset({"stock", "payments", "orders"}),
    "refunds": frozenset({"stock", "payments", "orders", "shipments"}),
    "returns": frozenset({"stock", "payments", "orders", "shipments", "refunds"}),
}
CAPABILITIES = frozenset(MAY_NAME)
ADAPTERS = frozenset({"psycopg", "rich", "sqlalchemy", "django", "opentelemetry"})
TEST_TOOLS = frozenset({"hypothesis", "pytest"})
UNSAFE_FORMATS = frozenset({"pickle", "marshal", "shelve"})


@attrs.frozen
class Import:
    """One name imported by one module, both in full: `ordermgmt.orders.rules` imports `ordermgmt.money`."""

    by: str
    of: str
    line: int

    @property
    def folder(self) -> str:
        """The part of the library that imports: "orders", "engine", or "" for the package itself."""
        return part_of(self.by)

    @property
    def of_folder(self) -> str | None:
        """The part of the library that is imported, or None for what is not ours."""
        return part_of(self.of) if self.of.split(".")[0] == "ordermgmt" else None

    def __str__(self) -> str:
        return f"{self.by} imports {self.of} (line {self.line})"


def part_of(module: str) -> str:
    return [*module.split("."), ""][1]


def imports_in(text: str, module: str, *, is_package: bool = False) -> list[Import]:
    """Every import in a module's text, wherever it stands: inside functions and under TYPE_CHECKING too."""
    package = module if is_package else module.rpartition(".")[0]
    found: list[Import] = []
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import(names=names):
                found += [Import(module, name.name, node.lineno) for name in names]
            case ast.ImportFrom(module=source, names=names, level=level):
                base = source or ""
                if level:
                    base = importlib.util.resolve_name("." * level + base, package)
                found += [Import(module, f"{base}.{name.name}", node.lineno) for name in names]
            case _:
                pass
    return found


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def all_imports() -> list[Import]:
    return [
        found
        for module, path in modules()
        for found in imports_in(path.read_text(encoding="utf-8"), module, is_package=path.name == "__init__.py")
    ]


def against_the_ladder(imports: Iterable[Import]) -> list[Import]:
    """Imports by which a capability names one that stands higher, or beside it."""
    return [
        one
        for one in imports
        if one.folder in CAPABILITIES
        and one.of_folder in CAPABILITIES - MAY_NAME[one.folder]
        and one.of_folder != one.folder
    ]


def from_folder(imports: Iterable[Import], folder: str, *, to: Iterable[str]) -> list[Import]:
    forbidden = set(to)
    return [one for one in imports if one.folder == folder and one.of_folder in forbidden]


def of_packages(imports: Iterable[Import], packages: Iterable[str], *, except_in: Iterable[str] = ()) -> list[Import]:
    forbidden, allowed = set(packages), set(except_in)
    return [one for one in imports if one.of.split(".")[0] in forbidden and one.folder not in allowed]


def through_the_front(imports: Iterable[Import], modules: Iterable[str]) -> list[Import]:
    """Imports of the public names of `ordermgmt` from inside it, which would hide what is really named."""
    inside = CAPABILITIES | {"engine", "storage"}
    known = set(modules)
    return [
        one
        for one in imports
        if one.folder in inside
        and (one.of == "ordermgmt" or (one.of.rpartition(".")[0] == "ordermgmt" and one.of not in known))
    ]


def circles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The circles of a graph of who names whom, each told once from its first name in the alphabet."""
    found: list[list[str]] = []

    def walk(path: list[str]) -> None:
        for following in sorted(graph.get(path[-1], ())):
            if following == path[0]:
                found.append(path)
            elif following not in path and following > path[0]:
                walk([*path, following])

    for name in sorted(graph):
        walk([name])
    return found


def folder_graph(imports: Iterable[Import], folders: Iterable[str]) -> dict[str, set[str]]:
    graph: dict[str, set[str]] = {folder: set() for folder in folders}
    for one in imports:
        if one.folder in graph and one.of_folder in graph and one.of_folder != one.folder:
            graph[one.folder].add(one.of_folder)
    return graph


def loaded_by(statement: str) -> set[str]:
    """The top-level packages, and our own parts in full, that a fresh interpreter has loaded after the statement."""
    told = subprocess.run(
        [sys.executable, "-c", f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    names: list[str] = json.loads(told.stdout)
    return {name.split(".")[0] for name in names} | {name for name in names if name.startswith("ordermgmt.")}


IMPORTS = all_imports()


def told(imports: Iterable[Import]) -> list[str]:
    return [str(one) for one in imports]


class TestTheTree:
    def test_a_capability_names_only_those_below_it(self) -> None:
        assert told(against_the_ladder(IMPORTS)) == []

    def test_every_folder_with_rules_has_its_place_on_the_ladder(self) -> None:
        folders = {path.parent.name for path in SOURCE.glob("*/rules.py")}
        assert folders <= CAPABILITIES

    def test_the_engine_knows_no_capability_no_storage_and_no_test_kit(self) -> None:
        assert told(from_folder(IMPORTS, "engine", to=CAPABILITIES | {"storage", "testing"})) == []

    def test_storage_knows_no_capability(self) -> None:
        assert told(from_folder(IMPORTS, "storage", to=CAPABILITIES)) == []

    def test_prices_are_pure_and_know_no_capability_and_no_storage(self) -> None:
        assert told(from_folder(IMPORTS, "pricing", to=CAPABILITIES | {"storage", "testing"})) == []
        of_the_engine = {one.of for one in IMPORTS if one.folder == "pricing" and one.of_folder == "engine"}
        assert all(of.startswith("ordermgmt.engine.messages") for of in of_the_engine)

    def test_only_the_test_kit_imports_hypothesis(self) -> None:
        assert told(of_packages(IMPORTS, {"hypothesis"}, except_in={"testing"})) == []

    def test_nothing_reads_or_writes_a_format_that_can_run_code(self) -> None:
        assert told(of_packages(IMPORTS, UNSAFE_FORMATS)) == []

    def test_the_inside_does_not_import_through_the_front_door(self) -> None:
        assert told(through_the_front(IMPORTS, [module for module, _ in modules()])) == []

    def test_no_folders_import_each_other_in_a_circle(self) -> None:
        assert circles(folder_graph(IMPORTS, CAPABILITIES | {"engine", "storage"})) == []


# Run before an import, it turns any socket opened meanwhile into an error.
NO_SOCKET = """
import sys, threading
def watch(name, arguments):
    assert not name.startswith("socket."), name
sys.addaudithook(watch)
"""


class TestAFreshInterpreter:
    def test_the_core_loads_no_test_tool_and_no_adapter(self) -> None:
        # python-statemachine looks for Django by itself, where that is installed.
        ours = loaded_by("import ordermgmt") - loaded_by("import statemachine")
        assert ours & (TEST_TOOLS | ADAPTERS | {"ordermgmt.testing"}) == set()

    def test_the_core_starts_no_thread_and_opens_no_socket(self) -> None:
        loaded_by(f"{NO_SOCKET}\nimport ordermgmt\nassert threading.active_count() == 1")


class TestTheRulesThemselves:
    """A rule that cannot fail keeps nothing: each is shown what it must catch, and what it must let pass."""

    @pytest.mark.parametrize(
        ("text", "of"),
        [
            ("import ordermgmt.orders.messages", "ordermgmt.orders.messages"),
            ("from ordermgmt.orders import messages", "ordermgmt.orders.messages"),
            ("from ordermgmt import orders", "ordermgmt.orders"),
            ("from ..orders.messages import PlaceOrder", "ordermgmt.orders.messages.PlaceOrder"),
            ("from .. import orders", "ordermgmt.orders"),
            ("def late():\n    from ordermgmt import orders", "ordermgmt.orders"),
            ("if TYPE_CHECKING:\n    from ordermgmt import orders", "ordermgmt.orders"),
        ],
    )
    def test_every_way_to_import_is_seen(self, text: str, of: str) -> None:
        (one,) = imports_in(text, "ordermgmt.stock.flow")
        assert one.of == of
        assert one.of_folder == "orders"
        assert against_the_ladder([one]) == [one]

    def test_a_relative_import_in_a_package_counts_from_the_package(self) -> None:
        (one,) = imports_in("from .rules import decide", "ordermgmt.stock", is_package=True)
        assert one.of == "ordermgmt.stock.rules.decide"

    def test_stock_and_payments_do_not_know_each_other(self) -> None:
        beside = [
            Import("ordermgmt.stock.flow", "ordermgmt.payments.messages", 1),
            Import("ordermgmt.payments.flow", "ordermgmt.stock.messages", 1),
        ]
        assert against_the_ladder(beside) == beside

    def test_whoever_reacts_may_import_whoever_speaks(self) -> None:
        below = [
            Import("ordermgmt.returns.flow", "ordermgmt.stock.messages", 1),
            Import("ordermgmt.orders.rules", "ordermgmt.orders.model", 1),
            Import("ordermgmt.orders.rules", "ordermgmt.money.Money", 1),
        ]
        assert against_the_ladder(below) == []

    def test_an_engine_that_knows_orders_is_caught(self) -> None:
        one = Import("ordermgmt.engine.drivers", "ordermgmt.orders.Order", 1)
        assert from_folder([one], "engine", to=CAPABILITIES) == [one]
        assert from_folder([one], "storage", to=CAPABILITIES) == []

    def test_hypothesis_is_caught_outside_the_test_kit_only(self) -> None:
        core = Import("ordermgmt.money", "hypothesis.strategies", 1)
        kit = Import("ordermgmt.testing.laws", "hypothesis.given", 1)
        assert of_packages([core, kit], {"hypothesis"}, except_in={"testing"}) == [core]

    def test_the_front_door_is_told_from_the_modules_behind_it(self) -> None:
        name = Import("ordermgmt.engine.drivers", "ordermgmt.Order", 1)
        module = Import("ordermgmt.engine.drivers", "ordermgmt.money", 1)
        kit = Import("ordermgmt.testing.fakes", "ordermgmt.Order", 1)
        assert through_the_front([name, module, kit], ["ordermgmt.money"]) == [name]

    def test_a_circle_is_found_once_and_a_ladder_is_none(self) -> None:
        assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == [["a", "b", "c"]]
        assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []

    def test_the_graph_keeps_to_the_folders_asked_for(self) -> None:
        seen = [
            Import("ordermgmt.orders.flow", "ordermgmt.stock.messages", 1),
            Import("ordermgmt.orders.flow", "ordermgmt.money.Money", 1),
        ]
        assert folder_graph(seen, {"orders", "stock"}) == {"orders": {"stock"}, "stock": set()}

    def test_a_fresh_interpreter_tells_what_it_loaded(self) -> None:
        assert "pytest" in loaded_by("import pytest")
        assert "pytest" not in loaded_by("import json")

    def test_a_socket_opened_in_a_fresh_interpreter_is_noticed(self) -> None:
        with pytest.raises(subprocess.CalledProcessError):
            loaded_by(f"{NO_SOCKET}\nimport socket\nsocket.socket()")

    def test_the_tree_that_is_read_is_not_empty(self) -> None:
        assert IMPORTS
