"""The demo is the first thing a stranger sees: it must tell its story, quickly, and leave nothing behind."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from ordermgmt import Order, OrderManagement, Stock
from ordermgmt.cli import main
from ordermgmt.cli.terminal import Paper
from ordermgmt.storage import SqliteStorage


@pytest.fixture(scope="module")
def played() -> tuple[str, float]:
    """What the demo prints in a fresh process, and the seconds it takes."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "ordermgmt", "demo"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    return done.stdout, time.perf_counter() - began


@pytest.fixture
def told(played: tuple[str, float]) -> str:
    return played[0]


def order(told: str, order_id: str) -> str:
    """The part of the story that is about one order."""
    story = told[told.index(f"\n{order_id}  ") :]
    return story[: story.index("\n\n")]


def in_order(text: str, *sentences: str) -> bool:
    places = [text.find(sentence) for sentence in sentences]
    return -1 not in places and places == sorted(places)


def test_one_order_goes_from_entry_to_delivery(told: str):
    assert in_order(
        order(told, "A-1"),
        "Order placed: 2 × mug, 1 × teapot",
        "53.00 EUR + shipping 4.90 EUR = 57.90 EUR",
        "Set aside on the shelf: 2 × mug, 1 × teapot",
        "Asking card to authorise 57.90 EUR",
        "card: 57.90 EUR authorised",
        "Order confirmed",
        "Parcel A-1:s1 planned: 2 × mug, 1 × teapot, by post",
        "Parcel A-1:s1 packed",
        "post sold a label: POST-000001",
        "Parcel A-1:s1 handed over to post",
        "card: 57.90 EUR captured",
        "post: parcel in transit (sorting centre)",
        "Parcel A-1:s1 delivered",
        "confirmed · paid · delivered · complete",
        "due 57.90 EUR, paid 57.90 EUR",
    )


def test_one_order_is_cancelled_after_its_payment_was_authorised(told: str):
    assert in_order(
        order(told, "A-2"),
        "card: 33.40 EUR authorised",
        "Order cancelled (ordered the wrong colour)",
        "Taken off the order: 3 × mug",
        "Asking card to give up 33.40 EUR",
        "card: 33.40 EUR given up, nothing was taken",
        "cancelled · not due · nothing to fulfil",
    )


def test_one_order_gets_some_of_its_money_back(told: str):
    assert in_order(
        order(told, "A-3"),
        "Parcel A-3:s1 delivered",
        "Credit of 6.00 EUR granted (a chipped handle)",
        "Asking card to give 6.00 EUR back",
        "Refund A-3:r1 has reached the customer",
        "confirmed · partly refunded · delivered · complete",
        "due 36.90 EUR, paid 36.90 EUR",
    )


def test_it_says_when_and_by_whom(told: str):
    assert "09:52  Ben   Order cancelled" in order(told, "A-2")
    assert "Thu 5 Mar 2026\n  09:05  support    Credit of" in order(told, "A-3")


def test_it_ends_with_the_shelf_and_the_provider(told: str):
    mug = next(line.split() for line in told.splitlines() if line.startswith("  mug "))
    assert mug == ["mug", "12", "6", "6", "0", "6"]  # received, sent out, on hand, reserved, available
    assert "7 requests to the card provider, 0 executed twice; it holds 94.80 EUR for us." in told
    assert "0 discrepancies" in told


def test_its_lines_fit_a_terminal_and_carry_no_colour_where_nobody_looks(told: str):
    assert max(map(len, told.splitlines())) <= 100
    assert "\x1b" not in told


def test_it_is_quick_in_a_fresh_process(played: tuple[str, float]):
    # It takes 1.2 s on two idle cores; the limit is wide because others may be at work on this machine.
    assert played[1] < 15


def test_its_shop_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert main(["demo"]) == 0
    assert list(tmp_path.iterdir()) == []


def test_its_shop_can_be_kept_and_opened(tmp_path: Path):
    assert main(["demo", "--db", str(tmp_path / "kept.db")]) == 0
    with OrderManagement(storage=SqliteStorage(tmp_path / "kept.db")) as shop:
        assert shop.get(Order, "A-3").payment_status == "partly_refunded"
        assert shop.get(Stock, ("teapot", "main")).on_hand == 3


def test_it_does_not_play_in_somebody_elses_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    theirs = tmp_path / "theirs.db"
    theirs.write_text("something else")
    assert main(["demo", "--db", str(theirs)]) == 2
    assert "exists already; name a new file" in capsys.readouterr().err
    assert theirs.read_text() == "something else"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_colour(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert Paper.of(Terminal()).ink("paid", "green") == "\x1b[32mpaid\x1b[0m"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_that_wants_no_colour_gets_none(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    assert Paper.of(Terminal()).ink("paid", "green") == "paid"
