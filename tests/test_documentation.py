"""Every Python block in the README and the documentation is run, page by page, as its reader would run it."""

import re
import sys
from pathlib import Path
from types import FrameType
from unittest import SkipTest

import pytest
from sybil.document import Document
from sybil.parsers.myst import PythonCodeBlockParser, SkipParser

from ordermgmt.drawing import mermaid
from ordermgmt.orders.lifecycle import ORDER

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCES = ("```python", "```py", "```{code-block} python", "~~~python")


def read(page: Path) -> Document:
    return Document.parse(str(page), SkipParser(), PythonCodeBlockParser())


def run(page: Path) -> int:
    """Run the page's blocks in one namespace, from top to bottom, and say how many ran."""
    document = read(page)
    ran = 0
    for example in document.examples():
        try:
            example.evaluate()
        except SkipTest:
            continue
        ran += isinstance(example.parsed, str)  # a skip directive is an example too, and no block
    return ran


def block_count(page: Path) -> int:
    return sum(isinstance(example.parsed, str) for example in read(page).examples())


def fence_count(page: Path) -> int:
    """How many blocks a writer meant as Python; the parser does not see one glued to the end of a line."""
    return sum(any(fence in line for fence in FENCES) for line in page.read_text(encoding="utf-8").splitlines())


def skips_without_reason(page: Path) -> list[int]:
    """The lines of the skip comments that do not say why in words."""
    without: list[int] = []
    for example in read(page).examples():
        if isinstance(example.parsed, str):
            continue
        action, reason = example.parsed
        if action != "end" and not (reason or "").strip("\"' "):
            without.append(example.line)
    return without


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_on_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert block_count(page) == fence_count(page), "a block is written in a way that the parser does not see"
    assert skips_without_reason(page) == []
    monkeypatch.chdir(tmp_path)
    run(page)


def test_what_the_page_of_one_order_names_is_called_when_it_is_played() -> None:
    page = ROOT / "docs" / "explanation" / "one-order.md"
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    named = {name for row in rows for name in re.findall(r"`(\w+\.[\w.]+)`", row.split(" | ")[-1])}
    assert len(named) > 35
    called = set[str]()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and (module := frame.f_globals.get("__name__", "")).startswith("ordermgmt."):
            called.add(f"{module.removeprefix('ordermgmt.')}.{frame.f_code.co_qualname}")

    sys.setprofile(note)
    try:
        run(page)
    finally:
        sys.setprofile(None)
    assert named - called == set()


def test_the_drawing_in_the_readme_is_the_one_that_decides() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"```mermaid\n{mermaid(ORDER)}```\n" in readme


def test_the_quickstart_is_short() -> None:
    (quickstart,) = read(ROOT / "README.md").examples()
    lines = [line for line in str(quickstart.parsed).splitlines() if line and not line.startswith("#")]
    assert len(lines) <= 22


def test_the_architecture_names_every_part_of_the_library() -> None:
    told = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    source = ROOT / "src" / "ordermgmt"
    parts = [path.name for path in source.iterdir() if path.suffix == ".py" and path.stem != "__main__"]
    parts += [f"{path.name}/" for path in source.iterdir() if path.is_dir() and path.name != "__pycache__"]
    engine = [f"`{path.stem}`" for path in (source / "engine").glob("*.py") if path.stem != "__init__"]
    assert [name for name in [*parts, *engine] if name not in told] == []


def links(page: Path) -> list[str]:
    """The files of this project that a page links to."""
    targets = re.findall(r"\]\(([^)#\s]+)", re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL))
    return [target for target in targets if "://" not in target]


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")), ids=lambda page: page.name)
def test_links_at_the_top_of_the_tree_lead_somewhere(page: Path) -> None:
    # Sphinx checks those under docs.
    assert [link for link in links(page) if not (ROOT / link).exists()] == []


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return tmp_path / "page.md"


def test_blocks_on_a_page_share_their_names(page: Path) -> None:
    page.write_text("```python\nmugs = 2\n```\nand then\n```python\nassert mugs == 2\n```\n")
    assert run(page) == 2


def test_a_wrong_block_fails_and_names_its_line(page: Path) -> None:
    page.write_text("# Title\n\n```python\nassert 1 == 2\n```\n")
    with pytest.raises(AssertionError) as failed:
        run(page)
    assert failed.traceback[-1].path == page
    assert failed.traceback[-1].lineno + 1 == 4


def test_a_skipped_block_is_not_run_and_must_say_why(page: Path) -> None:
    page.write_text('<!-- skip: next "needs an account with a carrier" -->\n```python\nraise RuntimeError\n```\n')
    assert run(page) == 0
    assert skips_without_reason(page) == []
    page.write_text("<!-- skip: next -->\n```python\nraise RuntimeError\n```\n")
    assert skips_without_reason(page) == [1]


def test_a_block_the_parser_does_not_see_is_counted_all_the_same(page: Path) -> None:
    page.write_text("```python title=shop.py\nraise RuntimeError\n```\n")
    assert (block_count(page), fence_count(page)) == (0, 1)
