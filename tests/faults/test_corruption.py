"""A byte that changed in the file is found by `verify`, by name; whoever it does not concern goes on."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

import attrs
import pytest

from ordermgmt import (
    CancelOrder,
    GrantCredit,
    ManualClock,
    Order,
    OrderManagement,
    Payment,
    StorageFailed,
    verify,
)
from ordermgmt.storage import SqliteStorage
from ordermgmt.testing import FakeCarrier, FakePayments
from tests.faults.shop import folder
from tests.stories import ANN, arrived, eur, paid_for, place, sent

FLIPS = 300
COLUMNS = {
    "history": ("doc", "doc", "doc", "hash", "at", "actor", "cause", "command_id"),
    "entity": ("doc", "doc", "doc", "head", "at"),
}


@attrs.define
class Damage:
    """One bit of one byte of one row is another."""

    table: str
    rowid: int
    kind: str
    id: str
    version: int
    column: str
    good: bytes | str
    bad: bytes | str

    def __str__(self) -> str:
        return f"{self.kind} {self.id}, {self.table} of version {self.version}, {self.column}: {self.bad!r}"


OPEN: list[sqlite3.Connection] = []


@pytest.fixture(autouse=True)
def no_saboteur_stays():
    yield
    while OPEN:
        OPEN.pop().close()


class Saboteur:
    """Writes into the file past all rules."""

    def __init__(self, path, seed):
        self.raw = sqlite3.connect(path, isolation_level=None)
        OPEN.append(self.raw)
        self.raw.execute("PRAGMA synchronous = OFF")
        self.raw.execute("DROP TRIGGER IF EXISTS history_is_not_changed")
        self.chance = random.Random(seed)
        # What a command id was answered with has no history, and so no hash.
        self.rows = {
            table: self.raw.execute(f"SELECT rowid, kind, id, version FROM {table} WHERE kind <> 'command'").fetchall()  # noqa: S608
            for table in COLUMNS
        }

    def flip(self, table):
        while True:
            rowid, kind, id, version = self.chance.choice(self.rows[table])
            column = self.chance.choice(COLUMNS[table])
            query = f"SELECT {column} FROM {table} WHERE rowid = ?"  # noqa: S608 - our own names
            good = self.raw.execute(query, (rowid,)).fetchone()[0]
            if good:
                damage = Damage(table, rowid, kind, id, version, column, good, self.with_a_flip(good))
                self.put(damage, damage.bad)
                return damage

    def with_a_flip(self, good):
        raw = bytearray(good if isinstance(good, bytes) else good.encode("ascii"))
        # A text column stays text: its highest bit is left alone.
        raw[self.chance.randrange(len(raw))] ^= 1 << self.chance.randrange(8 if isinstance(good, bytes) else 7)
        return bytes(raw) if isinstance(good, bytes) else raw.decode("ascii")

    def put(self, damage, value):
        statement = f"UPDATE {damage.table} SET {damage.column} = ? WHERE rowid = ?"  # noqa: S608 - our own names
        self.raw.execute(statement, (value, damage.rowid))


@pytest.fixture(scope="module")
def original():
    with TemporaryDirectory(dir=folder()) as place_of_it:
        path = Path(place_of_it) / "shop.db"
        with opened(path) as shop:
            place(shop, "P")
            paid_for(shop, "Q")
            paid_for(shop, "C")
            shop.handle(CancelOrder(order_id="C"), command_id="cancel C")
            shop.settle("C")
            sent(shop, "S")
            arrived(shop, "D", carrier="parcel", ship_to=ANN)
            shop.handle(GrantCredit(order_id="D", amount=eur("5.00"), reason="late"))
            shop.settle("D")
            assert verify.check_all(shop).ok
        yield path


@pytest.fixture
def path(original, tmp_path):
    with TemporaryDirectory(dir=folder()) as place_of_it:
        copy = Path(place_of_it) / "shop.db"
        copyfile(original, copy)
        yield copy


@pytest.fixture
def shop(path):
    with opened(path) as shop:
        yield shop


def opened(path):
    clock = ManualClock()
    return OrderManagement(
        storage=SqliteStorage(path),
        gateways={"card": FakePayments(clock=clock)},
        carriers={"parcel": FakeCarrier(clock=clock)},
        clock=clock,
    )


def breaches_of(shop, kind, id):
    return [breach for breach in verify.breaches(shop) if (breach.kind, breach.id) == (kind, id)]


@pytest.mark.parametrize("table", COLUMNS)
@pytest.mark.parametrize("seed", [1, 2])
def test_every_flipped_bit_of_a_row_is_found_where_it_is(path, shop, table, seed):
    saboteur = Saboteur(path, seed)
    for _ in range(FLIPS // 4):
        damage = saboteur.flip(table)
        with pytest.raises(verify.Breach) as found:
            verify.check_entity(shop, damage.kind, damage.id)
        assert (found.value.kind, found.value.id) == (damage.kind, damage.id), damage
        if table == "history":
            assert found.value.explanation.startswith(f"event {damage.version}: "), damage
        saboteur.put(damage, damage.good)
    verify.check_all(shop).require()


@pytest.mark.parametrize("seed", range(5))
def test_of_a_whole_file_all_damaged_entities_are_named_each_with_its_first_bad_event(path, shop, seed):
    saboteur = Saboteur(path, f"whole {seed}")
    first = dict[tuple[str, str], int]()
    for _ in range(10):
        damage = saboteur.flip("history")
        entity = damage.kind, damage.id
        first[entity] = min(first.get(entity, damage.version), damage.version)
    breaches = verify.check_all(shop).breaches
    told = {entity: [one.explanation for one in breaches if (one.kind, one.id) == entity] for entity in first}
    for entity, version in first.items():
        assert told[entity], f"{entity} is not named"
        assert told[entity][0].startswith(f"event {version}: ")


@pytest.mark.parametrize("seed", range(60))
def test_a_byte_of_the_file_itself_is_found_unless_it_means_nothing(path, seed):
    before = contents(path)
    image = bytearray(path.read_bytes())
    chance = random.Random(f"file {seed}")
    image[chance.randrange(100, len(image))] ^= 1 << chance.randrange(8)
    path.write_bytes(image)
    if contents(path) != before:
        assert problems(path)


def contents(path):
    """What a reader sees; None where it cannot be read."""
    try:
        with closing(sqlite3.connect(path)) as raw:
            tables = ("entity", "history", "idx")
            return [
                raw.execute(f"SELECT * FROM {table} WHERE kind <> 'command' ORDER BY 1, 2, 3, 4").fetchall()  # noqa: S608
                for table in tables
            ]
    except (sqlite3.Error, UnicodeDecodeError):
        return None


def problems(path):
    try:
        with closing(SqliteStorage(path)) as storage:
            if found := storage.integrity(thorough=True):
                return found
        return verify.verify_file(path).breaches
    except (sqlite3.Error, verify.Breach, Exception) as error:  # noqa: BLE001 - a file that does not open is found as well
        return [error]


def test_a_state_put_back_to_an_earlier_one_is_found(path, shop):
    raw = Saboteur(path, 0).raw
    before = raw.execute("SELECT version, doc, head, at FROM entity WHERE kind = 'order' AND id = 'P'").fetchone()
    shop.handle(CancelOrder(order_id="P"))
    raw.execute("UPDATE entity SET version = ?, doc = ?, head = ?, at = ? WHERE kind = 'order' AND id = 'P'", before)
    assert {breach.law for breach in breaches_of(shop, "order", "P")} >= {"J1"}


def test_an_entity_whose_row_is_gone_is_named(path, shop):
    Saboteur(path, 0).raw.execute("DELETE FROM entity WHERE kind = 'refund'")
    (refund,) = {breach.id for breach in verify.breaches(shop) if breach.kind == "refund"}
    assert refund.startswith("D")


def make_unreadable(path, kind, id):
    hurt = "UPDATE entity SET doc = CAST(replace(doc, '\"data\":{', '\"data\":[') AS BLOB) WHERE kind = ? AND id = ?"
    assert Saboteur(path, 0).raw.execute(hurt, (kind, id)).rowcount == 1


def test_a_command_on_what_cannot_be_read_fails_and_says_so(path, shop):
    make_unreadable(path, "order", "Q")
    with pytest.raises(StorageFailed, match="order 'Q' is damaged"):
        shop.handle(CancelOrder(order_id="Q"))


def test_an_order_that_cannot_be_read_stops_no_other(path, shop):
    make_unreadable(path, "order", "P")
    place(shop, "N")
    with pytest.raises(StorageFailed, match="order 'P' is damaged"):
        shop.run_due()
    assert shop.get(Order, "N").payment_status == "authorised"
    assert sent(shop, "M").payment_status == "paid"


def test_an_effect_that_cannot_be_read_stops_no_other(path, shop):
    make_unreadable(path, "effect", "payment.P:1.000001")
    place(shop, "N")
    shop.run_due()
    assert shop.get(Order, "N").payment_status == "authorised"
    assert shop.get(Payment, "P:1").amounts.authorised == 0


def test_what_cannot_be_read_is_never_written_over(path, shop):
    make_unreadable(path, "order", "P")
    before = shop.storage.read([("order", "P")])
    with pytest.raises(StorageFailed):
        shop.run_due()
    assert shop.storage.read([("order", "P")]) == before


def test_events_that_were_moved_in_the_feed_are_found(path, shop):
    moved = "UPDATE history SET position = position + 1000 WHERE kind = 'order' AND id = 'P' AND version = 1"
    assert Saboteur(path, 0).raw.execute(moved).rowcount == 1
    (breach,) = breaches_of(shop, "order", "P")
    assert (breach.law, breach.explanation.partition(":")[0]) == ("J1", "event 2")


@pytest.mark.parametrize("doc", [b"", b"{", b"[]", b"1", b"null", b"{}", b'{"fingerprint": 1}', b"\xff"])
def test_a_damaged_record_of_a_command_id_is_named_and_concerns_that_command_only(path, shop, doc):
    hurt = "UPDATE entity SET doc = ? WHERE kind = 'command' AND id = 'cancel C'"
    assert Saboteur(path, 0).raw.execute(hurt, (doc,)).rowcount == 1
    assert [breach.law for breach in breaches_of(shop, "command", "cancel C")] == ["readable"]
    before = shop.storage.read([("command", "cancel C")])
    told, done = shop.handle_many([(CancelOrder(order_id="C"), "cancel C"), (CancelOrder(order_id="P"), "cancel P")])
    assert isinstance(told, StorageFailed)
    assert "command 'cancel C' is damaged" in str(told)
    assert done.status == "cancelled"
    assert shop.storage.read([("command", "cancel C")]) == before


def test_a_record_of_a_command_id_is_written_once(path, shop):
    Saboteur(path, 0).raw.execute("UPDATE entity SET version = 2 WHERE kind = 'command' AND id = 'cancel C'")
    assert [breach.law for breach in breaches_of(shop, "command", "cancel C")] == ["J7"]
