"""What `python -m ordermgmt verify` says of a shop's file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ordermgmt.cli import main


@pytest.fixture
def shop_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    file = tmp_path / "shop.db"
    assert main(["demo", "--db", str(file)]) == 0
    capsys.readouterr()
    return file


def test_a_sound_file_has_no_breach(shop_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--db", str(shop_file)]) == 0
    assert capsys.readouterr().out.startswith("no breach in ")


def test_a_changed_byte_is_named_with_the_entity_it_belongs_to(
    shop_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(shop_file)) as connection, connection:
        (id,) = connection.execute("SELECT id FROM entity WHERE kind = 'payment' ORDER BY id LIMIT 1").fetchone()
        connection.execute(
            "UPDATE entity SET doc = CAST(replace(CAST(doc AS TEXT), '\"captured\":', '\"captured\":1') AS BLOB) "
            "WHERE kind = 'payment' AND id = ?",
            (id,),
        )
    assert main(["verify", "--db", str(shop_file)]) == 1
    assert f"payment {id}" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--db", str(tmp_path / "none.db")]) == 2
    assert "there is no database file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_another_programs_file_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "other.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE t (x)")
    before = file.read_bytes()
    assert main(["verify", "--db", str(file)]) == 2
    assert "holds no shop" in capsys.readouterr().err
    assert file.read_bytes() == before
