"""The page about PostgreSQL does what it says, on a real server instead of the one it names."""

from pathlib import Path
from typing import Any

import pytest
from sybil.document import Document
from sybil.parsers.myst import PythonCodeBlockParser

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "move-to-postgres.md"
NAMED = "postgresql://shop@db.example/shop"
BLOCKS = [str(block.parsed) for block in Document.parse(str(PAGE), PythonCodeBlockParser()).examples()]


@pytest.mark.parametrize("block", [block for block in BLOCKS if NAMED in block], ids=["blocking", "awaited"])
def test_what_the_page_shows_runs(postgres, block):
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(block.replace(NAMED, postgres.new_database()), str(PAGE), "exec"), names)  # noqa: S102 - our own page
    if "shop" in names:
        names["shop"].close()
