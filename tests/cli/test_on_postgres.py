"""The command line looks into a shop on PostgreSQL as it does into a file, by the address."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ordermgmt.cli import main
from tests.servers import Server


@pytest.fixture
def place(postgres: Server) -> Iterator[list[str]]:
    schema = postgres.new_schema()
    yield ["--db", postgres.uri, "--schema", schema]
    postgres.do(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def test_the_demo_is_kept_tracked_and_verified(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", *place]) == 0
    assert place[-1] in capsys.readouterr().out
    assert main(["track", "A-1", *place]) == 0
    assert "delivered" in capsys.readouterr().out
    assert main(["verify", *place]) == 0
    assert capsys.readouterr().out.startswith("no breach in ")


def test_a_demo_does_not_go_into_a_shop_that_is_there(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", *place]) == 0
    assert main(["demo", *place]) == 2
    assert "name a new one" in capsys.readouterr().err


def test_looking_makes_no_shop(place: list[str], postgres: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["track", "A-1", *place]) == 2
    assert "has no shop in its schema" in capsys.readouterr().err
    assert postgres.do(f"SELECT count(*) FROM pg_namespace WHERE nspname = '{place[-1]}'") == [(0,)]  # noqa: S608 - our own name
