"""Every example runs as its reader would run it, twice in the same folder, and ends with what it promises to show."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sybil.document import Document
from sybil.parsers.myst import PythonCodeBlockParser

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"

CLOSING_LINES = {
    "quickstart.py": [
        "What happened to A-1:",
        "  1. OrderPlaced (PlaceOrder by webshop)",
        "  2. UnitsMoved (MoveUnits by webshop)",
        "  3. PaymentNoted (NotePayment by webshop)",
        "  4. PaymentNoted (NotePayment by webshop)",
        "  5. OrderConfirmed (NotePayment by webshop)",
        "  6. ShipmentNoted (NoteShipment by webshop)",
    ],
    "async_quickstart.py": [
        "A-1 is paid and shipped",
        "A-3 was refused: out of stock: mug at main: 9 wanted, 6 available; receive stock or order less",
        "the provider was asked 3 times and captured 1900",
    ],
    "fraud_review.py": [
        "waiting for review: L-1, L-2",
        "refused: order L-1 is not cleared without a note; say what was checked",
        "L-1: placed (by webshop), fraud_review (by webshop), cleared (by ruth), confirmed (by ruth)",
        "L-2: placed (by webshop), fraud_review (by webshop), rejected (by ruth)",
    ],
    "with_sqlalchemy.py": [
        "A-1 is authorised",
        "refused: out of stock: mug at main: 100 wanted, 8 available; receive stock or order less",
        "vouchers: {'SPRING': 'A-1', 'SUMMER': None}",
        "mugs left: 8",
    ],
    "with_django.py": [
        "order-ann is authorised",
        "refused: out of stock: mug at main: 100 wanted, 8 available; receive stock or order less",
        "baskets: {'ann': 'order-ann', 'bob': ''}",
        "mugs left: 8",
    ],
    "bakery.py": [
        "B-1: planned, in_the_oven, baked; order confirmed",
        "B-2: planned, in_the_oven, dropped; order cancelled",
    ],
}


def run(example: str, folder: Path) -> list[str]:
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / example)],
        check=False,  # what it wrote to stderr is the better message
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    return ran.stdout.splitlines()


def steps(text: str) -> list[str]:
    """What a script does, step by step, however it is wrapped and commented."""
    tree = ast.parse(text)
    return [
        ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Expr | ast.Assign | ast.Assert | ast.alias)
    ]


def test_every_example_is_tried() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(CLOSING_LINES)


@pytest.mark.parametrize("example", CLOSING_LINES)
def test_an_example_ends_with_what_it_promises(example: str, tmp_path: Path) -> None:
    closing = CLOSING_LINES[example]
    assert run(example, tmp_path)[-len(closing) :] == closing
    assert run(example, tmp_path)[-len(closing) :] == closing, "it does not run a second time"


def test_the_quickstart_script_does_what_the_readme_shows() -> None:
    document = Document.parse(str(ROOT / "README.md"), PythonCodeBlockParser())
    (readme,) = [str(example.parsed) for example in document.examples()]
    script = steps((EXAMPLES / "quickstart.py").read_text(encoding="utf-8"))
    assert [step for step in steps(readme) if step not in script] == []
