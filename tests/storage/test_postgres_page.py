"""The pages about PostgreSQL do what they say, on a real server instead of the one they name."""

from pathlib import Path
from typing import Any

import pytest
from sybil.document import Document
from sybil.parsers.myst import PythonCodeBlockParser

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
NAMED = "postgresql://shop@db.example/shop"
BLOCKS = [
    pytest.param(str(block.parsed), id=f"{page}, line {block.line}")
    for page in ("join-your-transaction.md", "move-to-postgres.md")
    for block in Document.parse(str(HOW_TO / page), PythonCodeBlockParser()).examples()
    if NAMED in str(block.parsed)
]


@pytest.mark.parametrize("block", BLOCKS)
def test_what_a_page_shows_runs(postgres, block):
    names: dict[str, Any] = {"__name__": "page"}
    exec(block.replace(NAMED, postgres.new_database()), names)  # noqa: S102 - pages of our own
    if "shop" in names:
        names["shop"].close()
