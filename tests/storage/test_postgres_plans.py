"""What the server does for a question grows with the answer, and not with the store."""

import json
from itertools import permutations

import pytest

from ordermgmt.engine.transaction import Query
from ordermgmt.storage.postgres import questions
from ordermgmt.storage.postgres.connections import Borrowed

ORDERS = 5_000
COMMON = {"channel": "web", "status": "closed", "payment_status": "paid"}


@pytest.fixture
def storage(postgres, postgres_storage):
    """Many orders that are alike, and one in the middle that waits for somebody; nothing was ever analysed."""
    schema = postgres_storage.schema
    alike = " UNION ALL ".join(f"SELECT '{name}', '{value}'" for name, value in COMMON.items())
    postgres.do(
        f"INSERT INTO {schema}.entity SELECT 'order', lpad(n::text, 6, '0'), 1, '', '-', '-'"  # noqa: S608 - constants
        f" FROM generate_series(1, {ORDERS}) AS n",
        f"INSERT INTO {schema}.entity VALUES ('payment', '1', 1, '', '-', '-'), ('stock', '1', 1, '', '-', '-')",  # noqa: S608
        f"INSERT INTO {schema}.idx SELECT 'order', name, value, lpad(n::text, 6, '0')"  # noqa: S608
        f" FROM generate_series(1, {ORDERS}) AS n, ({alike}) AS alike (name, value)",
        f"INSERT INTO {schema}.idx VALUES ('order', 'status', 'held', '002500')",  # noqa: S608
    )
    return postgres_storage


def pages_read(storage, question):
    """How many pages of tables and indexes the server looks at, where its plan is made for any values."""
    with Borrowed(storage._connections) as connection:
        ((told,),) = connection.execute(b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + question.text, question.values)
    (plan,) = told if isinstance(told, list) else json.loads(told)
    return plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]


@pytest.mark.parametrize("names", [*permutations(["channel", "payment_status", "status"])], ids=" ".join)
@pytest.mark.parametrize("after", [None, ("", "002000"), ("", "002500")], ids=["first", "second", "last"])
def test_the_rarest_of_several_names_decides_what_a_search_costs(storage, names, after):
    query = Query(
        kind="order", equal={name: (COMMON | {"status": "held"})[name].split() for name in names}, after=after
    )
    question = questions.find(storage._texts, query)
    assert question is not None
    assert [found.row.key[1] for found in storage.find(query)] == ["002500"] * (after != ("", "002500"))
    assert pages_read(storage, question) < 60


def test_several_values_of_a_name_are_sought_at_once(storage):
    query = Query(
        kind="order", equal={"status": ["held", "closed", "lost"], "channel": ["web"]}, limit=3, after=("", "002498")
    )
    assert [found.row.key[1] for found in storage.find(query)] == ["002499", "002500", "002501"]


def test_which_kinds_there_are_is_known_without_reading_all_rows(storage):
    assert storage.kinds() == ["order", "payment", "stock"]
    assert pages_read(storage, questions.kinds(storage._texts)) < 30


def test_no_statement_is_compiled(storage):
    """A page of the feed has a plan for any limit, and so looks dear enough for it."""
    with Borrowed(storage._connections) as connection:
        assert connection.execute("SHOW jit").fetchall() == [("off",)]
