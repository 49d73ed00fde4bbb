"""Operating a shop from the command line, on a file and on a server."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from io import BytesIO, TextIOWrapper
from pathlib import Path
from types import ModuleType

import pytest

from ordermgmt import (
    Intent,
    Line,
    ManualClock,
    Money,
    Order,
    OrderManagement,
    PayNow,
    PlaceOrder,
    ReceiveStock,
    SystemClock,
    Tender,
    Unknown,
)
from ordermgmt.cli import main
from ordermgmt.cli.stores import Progress, shown
from ordermgmt.engine.transaction import Query
from ordermgmt.storage import PostgresStorage, SqliteStorage
from ordermgmt.testing import FakePayments
from tests.servers import Server

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.fixture
def schema(postgres: Server) -> Iterator[str]:
    name = postgres.new_schema()
    yield name
    postgres.do(f"DROP SCHEMA IF EXISTS {name} CASCADE")


@pytest.fixture
def file(tmp_path: Path, run: Run) -> Path:
    path = tmp_path / "shop.db"
    assert run("demo", "--db", path)[0] == 0
    return path


class TestMigrate:
    def test_a_folder_that_is_not_there_is_named(self, run: Run, tmp_path: Path) -> None:
        code, _, err = run("migrate", "--db", tmp_path / "nowhere" / "shop.db")
        assert code == 2
        assert "name a file in a folder that is there" in err

    def test_tables_are_made_once(self, tmp_path: Path, run: Run) -> None:
        path = tmp_path / "new.db"
        assert run("migrate", "--db", path)[:2] == (0, f"{path} was empty, and is up to date now: schema version 1\n")
        assert run("migrate", "--db", path)[:2] == (0, f"{path} is up to date: schema version 1\n")
        assert SqliteStorage(path).statuses("order") == {}

    def test_what_is_no_database_is_named_and_left_alone(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "notes.txt"
        path.write_text("milk, bread and a good deal of butter", encoding="utf-8")
        code, _, err = run("migrate", "--db", path)
        assert code == 2
        assert f"{path} cannot be read as a database" in err
        assert path.read_text(encoding="utf-8").startswith("milk")

    def test_a_server_is_migrated_by_its_address(self, postgres: Server, schema: str, run: Run) -> None:
        code, out, _ = run("migrate", "--db", postgres.uri, "--schema", schema)
        assert code == 0
        assert "was empty" in out
        assert "is up to date: " in run("migrate", "--db", postgres.uri, "--schema", schema)[1]

    def test_a_password_is_not_printed(self, run: Run) -> None:
        code, out, err = run("migrate", "--db", "postgresql://ann:s3cret@127.0.0.1:1/shop")
        assert code == 2
        assert "s3cret" not in out + err
        assert "127.0.0.1" in err

    @pytest.mark.parametrize("command", ["migrate", "verify"])
    def test_another_database_is_refused_by_its_address(self, tmp_path: Path, run: Run, command: str) -> None:
        code, out, err = run(command, "--db", f"mysql://ann:s3cret@{tmp_path}/shop")
        assert (code, out) == (2, "")
        assert "postgresql://user@host/database" in err
        assert "s3cret" not in err


class TestVerify:
    def test_a_person_sees_how_far_it_is(
        self, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        assert main(["verify", "--db", str(file)]) == 0
        told = capsys.readouterr()
        assert "verifying order [##############################] 3 of 3" in told.err
        assert "\x1b" not in told.out

    def test_half_of_it_is_half_a_bar(self) -> None:
        progress = Progress("verifying", {"order": 100_000})
        assert progress.line("order", 50_000) == "verifying order [###############...............] 50,000 of 100,000"
        assert progress.line("order", 100_001).count("#") == 30, "others may add to it meanwhile"

    def test_a_shop_is_verified_with_the_capabilities_of_its_host(
        self, file: Path, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        module = ModuleType("webshop")
        module.__dict__.update(shop=lambda: OrderManagement(storage=SqliteStorage(file)))
        monkeypatch.setitem(sys.modules, "webshop", module)
        code, out, err = run("verify", "--db", file, "--app", "webshop:shop")
        assert (code, err) == (0, "")
        assert out == run("verify", "--db", file)[1]

    def test_the_hosts_own_shop_is_verified_where_its_data_is(
        self, file: Path, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        module = ModuleType("webshop")
        module.__dict__.update(shop=lambda: OrderManagement(storage=SqliteStorage(file)))
        monkeypatch.setitem(sys.modules, "webshop", module)
        assert run("verify", "--app", "webshop:shop") == run("verify", "--db", file)

    def test_it_is_told_where_the_shop_is(self, run: Run) -> None:
        code, _, err = run("verify")
        assert code == 2
        assert "say where the shop is" in err


class TestMoving:
    def test_a_shop_moves_from_a_file_to_a_server_and_back(
        self, file: Path, tmp_path: Path, postgres: Server, schema: str, run: Run
    ) -> None:
        server = ("--db", postgres.uri, "--schema", schema)
        first = run("export", "--db", file, tmp_path / "1.jsonl")[1]
        assert run("import-store", tmp_path / "1.jsonl", *server)[1] == first.replace("exported", "imported")
        assert run("verify", *server)[:2][0] == 0
        assert run("export", *server, tmp_path / "2.jsonl")[1] == first
        assert run("import-store", tmp_path / "2.jsonl", "--db", tmp_path / "again.db")[0] == 0
        assert run("export", "--db", tmp_path / "again.db", tmp_path / "3.jsonl")[1] == first
        assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "3.jsonl").read_bytes()
        assert run("verify", "--db", tmp_path / "again.db")[0] == 0

    def test_an_export_that_is_interrupted_leaves_nothing_behind(
        self, file: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("ordermgmt.cli.operate.export_store", interrupt)
        assert run("export", "--db", file, tmp_path / "out.jsonl")[0] == 130
        assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []

    def test_an_export_does_not_overwrite(self, file: Path, tmp_path: Path, run: Run) -> None:
        (tmp_path / "out.jsonl").write_text("mine", encoding="utf-8")
        code, _, err = run("export", "--db", file, tmp_path / "out.jsonl")
        assert (code, (tmp_path / "out.jsonl").read_text(encoding="utf-8")) == (2, "mine")
        assert "exists already" in err

    @pytest.mark.parametrize("command", ["restore", "import-store"])
    def test_a_copy_that_is_not_there_leaves_no_store_behind(self, command: str, tmp_path: Path, run: Run) -> None:
        code, _, err = run(command, tmp_path / "none.jsonl", "--db", tmp_path / "new.db")
        assert (code, err) == (2, f"ordermgmt: there is no file {tmp_path / 'none.jsonl'}\n")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("command", ["restore", "import-store"])
    @pytest.mark.parametrize("content", [b"", b"reference,sku\n", b"\xff\xfe\x00", b'{"ordermgmt":99}\n'])
    def test_what_is_no_export_leaves_no_store_behind(
        self, command: str, content: bytes, tmp_path: Path, run: Run
    ) -> None:
        (tmp_path / "what").write_bytes(content)
        code, _, err = run(command, tmp_path / "what", "--db", tmp_path / "new.db")
        assert (code, [path.name for path in tmp_path.iterdir()]) == (2, ["what"])
        assert "no export of this release" in err

    @pytest.mark.parametrize("command", ["export", "backup"])
    def test_nothing_goes_to_the_standard_output(
        self, command: str, file: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        code, _, err = run(command, "--db", file, "-")
        assert (code, list((tmp_path / "here").iterdir())) == (2, [])
        assert f"name the file for the {command}" in err

    def test_looking_makes_no_shop(self, tmp_path: Path, postgres: Server, run: Run) -> None:
        assert run("export", "--db", tmp_path / "none.db", tmp_path / "out.jsonl")[0] == 2
        assert list(tmp_path.iterdir()) == []
        code, _, err = run("verify", "--db", postgres.uri, "--schema", "nobodys")
        assert code == 2
        assert "no shop" in err


class TestBackup:
    def test_a_backup_is_restored_where_nothing_was(self, file: Path, tmp_path: Path, run: Run) -> None:
        assert run("backup", "--db", file, tmp_path / "copy.db")[0] == 0
        assert run("restore", tmp_path / "copy.db", "--db", tmp_path / "restored.db")[0] == 0
        assert run("verify", "--db", tmp_path / "restored.db")[0] == 0
        code, _, err = run("restore", tmp_path / "copy.db", "--db", file)
        assert code == 2
        assert "exists already" in err

    def test_a_file_is_restored_into_a_server(
        self, file: Path, tmp_path: Path, postgres: Server, schema: str, run: Run
    ) -> None:
        assert run("restore", file, "--db", postgres.uri, "--schema", schema)[0] == 0
        storage = PostgresStorage(postgres.uri, schema=schema)
        with OrderManagement(storage=storage) as shop:
            assert len(shop.find(Order)) == 3
        assert [path.name for path in tmp_path.iterdir() if ".part" in path.name] == []

    def test_a_store_that_is_not_whole_yet_is_neither_judged_nor_exported(
        self, file: Path, tmp_path: Path, run: Run
    ) -> None:
        assert run("export", "--db", file, tmp_path / "whole.jsonl")[0] == 0
        lines = (tmp_path / "whole.jsonl").read_text("utf-8").splitlines(keepends=True)
        (tmp_path / "half.jsonl").write_text("".join(lines[: len(lines) // 2]), "utf-8")
        half = tmp_path / "half.db"
        assert run("import-store", tmp_path / "half.jsonl", "--db", half)[0] != 0
        for command in (["verify", "--db", half], ["export", "--db", half, tmp_path / "again.jsonl"]):
            code, _, err = run(*command)
            assert (code, "import-store" in err) == (2, True)
        assert run("import-store", tmp_path / "whole.jsonl", "--db", half)[0] == 0
        assert run("verify", "--db", half)[0] == 0

    def test_a_server_is_left_to_its_own_tools(self, tmp_path: Path, postgres: Server, run: Run) -> None:
        code, _, err = run("backup", "--db", postgres.uri, tmp_path / "copy.db")
        assert code == 2
        assert "pg_dump" in err


class Silent(FakePayments):
    """A provider of whom nothing is heard."""

    def execute(self, request: object, **_: object) -> Unknown:
        return Unknown("no answer")


class TestEffects:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "shop.db"

    @pytest.fixture
    def gateway(self) -> FakePayments:
        return FakePayments()

    @pytest.fixture(autouse=True)
    def app(self, path: Path, gateway: FakePayments, monkeypatch: pytest.MonkeyPatch) -> None:
        module = ModuleType("webshop")

        def shop() -> OrderManagement:
            return OrderManagement(storage=SqliteStorage(path), gateways={"card": gateway})

        module.__dict__.update(shop=shop, nothing=lambda: 7)
        monkeypatch.setitem(sys.modules, "webshop", module)
        with shop() as one:
            one.handle(ReceiveStock(sku="mug", quantity=3))
            line = Line(sku="mug", quantity=2, unit_price=Money("9.50", "EUR"))
            one.handle(PlaceOrder(order_id="A-1", lines=[line], pay=PayNow([Tender("card", token="tok_visa")])))

    @pytest.fixture
    def parked(self, path: Path) -> str:
        """An effect of which nobody can say what became of it: no answer, and no way to ask again."""
        clock = ManualClock(SystemClock().now())
        with OrderManagement(storage=SqliteStorage(path), gateways={"card": Silent.neither()}, clock=clock) as shop:
            shop.run_due()
            clock.advance(days=3)
            shop.run_due()
            (effect,) = shop.effects.parked()
        return effect.effect_id

    def test_what_is_due_is_listed_and_done_with_the_hosts_adapters(self, run: Run, path: Path) -> None:
        code, out, _ = run("effects", "list", "--app", "webshop:shop")
        assert code == 0
        assert "ready" in out
        assert "Authorise" in out
        assert run("effects", "run", "--app", "webshop:shop")[1].startswith("1 call: 1 succeeded")
        assert run("effects", "list", "--app", "webshop:shop")[1] == "nothing is open\n"

    def test_a_parked_effect_is_tried_again(self, run: Run, parked: str) -> None:
        assert run("effects", "list", "--app", "webshop:shop")[1].splitlines()[1].startswith("parked")
        asked = ("effects", "retry", parked, "--note", "called them", "--app", "webshop:shop")
        assert run(*asked)[1] == f"{parked} is unknown\n"
        assert run(*asked)[0] == 2, "it is not parked any more"

    def test_a_stuck_effect_is_resolved_with_what_the_provider_did(self, run: Run, parked: str, path: Path) -> None:
        asked = ("effects", "resolve", parked, "--app", "webshop:shop", "--evidence", "their dashboard")
        code, _, err = run(*asked, "--fact", "authorised:1900")
        assert code == 2
        assert "captured:TX-1:1900:EUR" in err
        assert run(*asked, "--fact", "authorised:TX-7:1900:EUR")[1] == f"{parked} is succeeded\n"
        with OrderManagement(storage=SqliteStorage(path), gateways={"card": FakePayments()}) as shop:
            assert shop.get(Order, "A-1").payment_status == "authorised"

    def test_a_stuck_effect_is_resolved_as_declined(self, run: Run, parked: str) -> None:
        code, out, _ = run(
            *("effects", "resolve", parked, "--app", "webshop:shop"), "--declined", "no_money", "--evidence", "a call"
        )
        assert (code, out) == (0, f"{parked} is failed\n")

    @pytest.mark.parametrize(
        "decision", [("retry",), ("resolve", "--declined", "no_money", "--evidence", "a call")], ids=lambda it: it[0]
    )
    def test_who_decided_about_a_stuck_effect_stands_in_its_history(
        self, run: Run, parked: str, path: Path, decision: tuple[str, ...]
    ) -> None:
        what, *how = decision
        assert run("effects", what, parked, "--app", "webshop:shop", "--by", "ruth", *how)[0] == 0
        with OrderManagement(storage=SqliteStorage(path), gateways={"card": FakePayments()}) as shop:
            assert shop.history(Intent, parked)[-1].by == "ruth"

    @pytest.mark.parametrize("app", ["nowhere:shop", "webshop:nobody", "webshop", "webshop:nothing"])
    def test_a_shop_that_is_not_there_is_named(self, run: Run, app: str) -> None:
        code, _, err = run("effects", "list", "--app", app)
        assert code == 2
        assert app in err

    @pytest.mark.parametrize(
        ("app", "told"),
        [
            ("failing:shop", "failed with KeyError: 'DATABASE'"),
            ("failing:needy", "failed with TypeError"),
            ("failing:awaited", "is async"),
            ("failing:on_asyncio", "answers an AsyncOrderManagement"),
            ("broken:shop", "failed with ZeroDivisionError"),
            (":shop", "module:function"),
            ("..failing:shop", "module:function"),
        ],
    )
    def test_a_shop_that_cannot_be_made_is_no_breach_and_no_crash(
        self, run: Run, app: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.syspath_prepend(tmp_path)
        (tmp_path / "broken.py").write_text("1 / 0\n")
        (tmp_path / "failing.py").write_text(
            "from ordermgmt import AsyncOrderManagement\n"
            "from ordermgmt.storage import MemoryStorage\n"
            "def shop(): return {}['DATABASE']\n"
            "def needy(path): ...\n"
            "async def awaited(): ...\n"
            "def on_asyncio(): return AsyncOrderManagement(storage=MemoryStorage())\n"
        )
        code, _, err = run("verify", "--app", app)
        assert code == 2
        assert told in err


def test_a_terminal_that_has_no_rules_gets_question_marks(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paper = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(paper, encoding="ascii"))
    with closing(SqliteStorage(file)) as storage:
        order = storage.find(Query(kind="order"))[0].row.key[1]
    assert main(["track", order, "--db", str(file)]) == 0
    assert b"?????" in paper.getvalue()


@pytest.mark.parametrize(
    "place", ["postgresql://ann:s3cret@h/d", "postgresql://h/d?user=ann&password=s3cret&connect_timeout=5"]
)
def test_an_address_is_told_without_its_password(place: str) -> None:
    told = shown(place)
    assert "s3cret" not in told
    assert "ann" in told
