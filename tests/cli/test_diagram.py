"""Drawings on the command line are those of the tables that decide."""

from __future__ import annotations

import pytest

from ordermgmt.cli import main
from ordermgmt.drawing import markdown, mermaid, unit_arrows_mermaid
from ordermgmt.orders.lifecycle import ORDER, UNIT_ARROWS

NAMES = ("order", "payment", "reservation", "shipment", "refund", "return", "units", "effect", "later", "discrepancy")


def drawn(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["diagram", *arguments]) == 0
    return capsys.readouterr().out


def test_a_lifecycle_is_a_mermaid_drawing_of_its_table(capsys: pytest.CaptureFixture[str]):
    assert drawn(capsys, "order") == f"---\ntitle: order\n---\n{mermaid(ORDER)}"


def test_the_ways_of_units_are_drawn_too(capsys: pytest.CaptureFixture[str]):
    assert drawn(capsys, "units").endswith(unit_arrows_mermaid(UNIT_ARROWS))


def test_a_page_has_the_drawing_and_its_table(capsys: pytest.CaptureFixture[str]):
    expected = f"## order\n\n```mermaid\n{mermaid(ORDER)}```\n\n{markdown(ORDER)}"
    assert drawn(capsys, "order", "--format", "md") == expected


def test_the_page_of_units_has_a_row_for_every_arrow(capsys: pytest.CaptureFixture[str]):
    rows = [line for line in drawn(capsys, "units", "--format", "md").splitlines() if line.startswith("| ")]
    assert len(rows) == len(UNIT_ARROWS) + 1
    assert "| shipped, undeliverable | deliver | delivered |" in rows


@pytest.mark.parametrize("name", NAMES)
def test_each_can_be_drawn(name: str, capsys: pytest.CaptureFixture[str]):
    assert "stateDiagram-v2" in drawn(capsys, name)


def test_without_a_name_all_are_drawn(capsys: pytest.CaptureFixture[str]):
    page = drawn(capsys, "--format", "md")
    assert set(NAMES) <= {line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")}


def test_what_cannot_be_drawn_is_refused_with_what_can(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as left:
        main(["diagram", "invoice"])
    assert left.value.code == 2
    assert "choose from" in capsys.readouterr().err
