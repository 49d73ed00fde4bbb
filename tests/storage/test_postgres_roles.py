"""The roles that the page about PostgreSQL names may do what it says, and no more."""

import re
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from ordermgmt import (
    Address,
    HandOverShipment,
    Line,
    Money,
    Order,
    OrderManagement,
    PayNow,
    PlaceOrder,
    ReceiveStock,
    Tender,
)
from ordermgmt.cli import main
from ordermgmt.errors import Misconfigured
from ordermgmt.storage import PostgresStorage
from ordermgmt.testing import FakePayments

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "move-to-postgres.md"
BLOCKS = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
MARKS = ("AUTHORIZATION", "idx TO", "reader")
MAKING, SELLING, LOOKING = (next(one for one in BLOCKS if mark in one) for mark in MARKS)


class Roles:
    """A database of which the page has been read, and its roles under names of their own."""

    def __init__(self, postgres):
        self._postgres = postgres
        self._name = postgres.new_schema()
        self.database = conninfo_to_dict(postgres.new_database())

    def do(self, block):
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            for statement in filter(None, map(str.strip, re.sub(r"\bshop", self._name, block).split(";"))):
                connection.execute(statement.encode())

    def address(self, role):
        user = role.replace("shop", self._name)
        return f"postgresql://{user}@/{self.database['dbname']}?host={self.database['host']}"

    def forget(self):
        self._postgres.do(f"DROP DATABASE {self.database['dbname']} WITH (FORCE)")
        for role in ("", "_owner", "_reader"):
            self._postgres.do(f"DROP ROLE IF EXISTS {self._name}{role}")


@pytest.fixture
def roles(own_postgres, capsys):
    roles = Roles(own_postgres)
    # As an administrator does who trusts nobody: what is made is not everybody's to call.
    roles.do("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
    try:
        roles.do(MAKING)
        roles.do("ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
        assert main(["migrate", "--db", roles.address("shop_owner")]) == 0
        roles.do(SELLING)
        roles.do(LOOKING)
        yield roles
    finally:
        roles.forget()


def test_the_shop_runs_as_a_role_that_owns_nothing(roles):
    with closing(PostgresStorage(roles.address("shop"))) as storage:
        shop = OrderManagement(storage=storage, gateways={"card": FakePayments()})
        shop.handle(ReceiveStock(sku="mug", quantity=10))
        mug = Line(sku="mug", quantity=2, unit_price=Money("9.50", "EUR"))
        shop.handle(
            PlaceOrder(
                order_id="A-1",
                lines=[mug],
                pay=PayNow([Tender("card", token="tok_visa")]),
                customer="c-17",
                ship_to=Address(name="Ann Example", street="1 Quay", city="Cork", country="IE"),
            )
        )
        assert shop.settle("A-1").payment_status == "authorised"
        shop.handle(HandOverShipment(shipment_id="A-1:s1"))
        shop.run_due()
        assert shop.get(Order, "A-1").payment_status == "paid"
        assert shop.feed()
        assert shop.erase("c-17") == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ordermgmt.history SET actor = 'nobody'",
        "DELETE FROM ordermgmt.history",
        "TRUNCATE ordermgmt.history",
        "ALTER TABLE ordermgmt.history DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        "SELECT setval('ordermgmt.position', 1)",
        "UPDATE ordermgmt.meta SET installation = ''",
        "DELETE FROM ordermgmt.entity",
        "CREATE TABLE ordermgmt.more (a bigint)",
    ],
)
def test_the_shops_role_changes_no_history_and_no_table(roles, statement):
    with psycopg.connect(roles.address("shop")) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


def test_a_role_that_only_reads_verifies_and_exports(roles, tmp_path):
    with closing(PostgresStorage(roles.address("shop"))) as storage:
        OrderManagement(storage=storage).handle(ReceiveStock(sku="mug", quantity=10))
    copy = tmp_path / "shop.jsonl"
    reader = roles.address("shop_reader")
    assert main(["verify", "--db", reader]) == 0
    assert main(["export", "--db", reader, str(copy)]) == 0
    with closing(PostgresStorage(reader)) as storage, pytest.raises(Misconfigured, match="GRANT"):
        OrderManagement(storage=storage).handle(ReceiveStock(sku="mug", quantity=10))


def test_the_owner_imports(roles, tmp_path):
    copy = tmp_path / "shop.jsonl"
    owner = roles.address("shop_owner")
    assert main(["export", "--db", owner, str(copy)]) == 0
    assert main(["import-store", str(copy), "--db", owner]) == 0
