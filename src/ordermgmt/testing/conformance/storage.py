"""What every store promises, as tests: subclass `StorageContract`, give it your store, run pytest.

    class TestMyStorage(StorageContract):
        @pytest.fixture
        def storage(self):
            with closing(MyStorage(...)) as storage:
                yield storage

The store must be empty at the start of each test.  A test that fails as yet is named in `known_failures`, with its
reason; overriding one is refused: see `contract`.
"""

# ruff: noqa: S101, PT012 - this is a test module, and one contract is one class

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from ordermgmt.engine.transaction import Entry, Found, Key, PersonalValue, Query, Row, Storage, Write
from ordermgmt.errors import Conflict, InvalidInput, StorageFailed

from .contract import Contract

T = TypeVar("T")

AT = "2026-01-02T03:04:05.678901Z"
SEEDS = range(5)
ODD_IDS = (
    "BANK CHARGES",
    "bank charges",
    "Bank Charges",
    "100%",
    "100_",
    "a_b",
    "*?[a-z]",
    "it's",
    '"quoted"',
    "'; DROP TABLE entity; --",
    "back\\slash",
    "two\nlines",
    "tab\tbed",
    " leading and trailing ",
    "ÅÄÖ",
    "A\u030aA\u0308",  # the same to a reader, other code points
    "ß",
    "SS",
    "ſ",
    "日本語",
    "\uffff",
    "🛒",
    "\U0010ffff",
    "0",
    "00",
    "1e3",
    "1000",
    "NULL",
    "x" * 10_000,
)


def written(
    id: str,
    expected: int = 0,
    *,
    kind: str = "order",
    events: int = 1,
    doc: bytes | None = None,
    index: Mapping[str, str] | None = None,
    unindex: Mapping[str, str] | None = None,
    personal: Sequence[PersonalValue] = (),
) -> Write:
    """What an engine would hand over for an entity that takes this many events on top of `expected`."""
    key = (kind, id)
    version = expected + events
    return Write(
        row=Row(key, version, b'{"version":%d}' % version if doc is None else doc, f"hash-{version}", AT),
        expected=expected,
        entries=tuple(
            Entry(key, number, b'{"event":%d}' % number, f"hash-{number}", AT, "clerk", "PlaceOrder", "")
            for number in range(expected + 1, version + 1)
        ),
        index=index or {},
        unindex=unindex or {},
        personal=tuple(personal),
    )


def save(storage: Storage, *writes: Write) -> None:
    """Commit these in a transaction of their own."""
    with storage.transaction() as transaction:
        transaction.commit(writes)


def ids(found: Sequence[Found]) -> list[str]:
    """The ids of these answers, in order."""
    return [answer.row.key[1] for answer in found]


def all_pages(storage: Storage, query: Query) -> list[Found]:
    """Every answer, asked for page by page."""
    answers: list[Found] = []
    after = query.after
    while True:
        page = storage.find(
            Query(kind=query.kind, equal=query.equal, upto=query.upto, after=after, limit=query.limit),
        )
        answers += page
        if len(page) < query.limit:
            return answers
        after = page[-1].place


def whole_feed(storage: Storage, *, after: int = 0, limit: int = 7) -> list[Entry]:
    """Every event from here on, followed page by page."""
    entries: list[Entry] = []
    while page := storage.feed(after=after, limit=limit):
        entries += page
        after = page[-1].position
    return entries


def together(count: int, work: Callable[[int], T]) -> list[T]:
    """Do it in this many threads at once; the first error of any is raised."""
    start = threading.Barrier(count)

    def begin(number: int) -> T:
        start.wait(timeout=30)
        return work(number)

    # Threads take turns as often as Python can make them, so that what can meet does.
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(count) as pool:
            return [future.result() for future in [pool.submit(begin, number) for number in range(count)]]
    finally:
        sys.setswitchinterval(before)


def increment(storage: Storage, key: Key) -> None:
    """Add one event to an entity, deciding again as often as somebody else was faster."""
    while True:
        try:
            with storage.transaction() as transaction:
                row = transaction.load([key]).get(key)
                transaction.commit([written(key[1], row.version if row else 0, kind=key[0])])
        except Conflict:
            continue
        return


class StorageContract(Contract, declares=True):
    """The promises of a `Storage`; a store that passes is one the engine can run on."""

    def make(self) -> Storage:
        """An empty store, for those who need no fixture of their own."""
        raise NotImplementedError("give a `storage` fixture or a `make` method")

    def reopen(self, storage: Storage) -> Storage:  # noqa: ARG002
        """Close this store and open another one on the same data; a durable store overrides it."""
        pytest.skip("this store forgets everything")

    @pytest.fixture
    def storage(self) -> Iterator[Storage]:
        storage = self.make()
        yield storage
        storage.close()

    # What was committed is there

    def test_a_committed_entity_reads_back_byte_for_byte(self, storage: Storage) -> None:
        write = written("A-1", doc=b'{"name":"\xc3\x85ngstr\xc3\xb6m","n":1.50}', events=3)
        save(storage, write)
        assert storage.read([("order", "A-1")]) == {("order", "A-1"): write.row}

    def test_loading_answers_what_reading_answers(self, storage: Storage) -> None:
        save(storage, written("A-1"), written("A-2"))
        keys = [("order", "A-2"), ("order", "A-1")]
        with storage.transaction() as transaction:
            assert transaction.load(keys) == storage.read(keys)

    def test_an_entity_nobody_wrote_is_absent_from_the_answer(self, storage: Storage) -> None:
        save(storage, written("A-1"))
        asked = [("order", "A-1"), ("order", "A-2"), ("parcel", "A-1")]
        assert set(storage.read(asked)) == {("order", "A-1")}
        with storage.transaction() as transaction:
            assert set(transaction.load(asked)) == {("order", "A-1")}

    def test_the_same_id_in_two_kinds_is_two_entities(self, storage: Storage) -> None:
        save(storage, written("1", kind="order", doc=b"order"), written("1", kind="parcel", doc=b"parcel"))
        rows = storage.read([("order", "1"), ("parcel", "1")])
        assert [rows["order", "1"].doc, rows["parcel", "1"].doc] == [b"order", b"parcel"]

    def test_kind_and_id_are_not_simply_joined(self, storage: Storage) -> None:
        save(storage, written("bc", kind="a", doc=b"1"), written("c", kind="ab", doc=b"2"))
        rows = storage.read([("a", "bc"), ("ab", "c")])
        assert [rows["a", "bc"].doc, rows["ab", "c"].doc] == [b"1", b"2"]

    def test_a_later_commit_replaces_the_row(self, storage: Storage) -> None:
        save(storage, written("A-1"))
        later = written("A-1", 1, events=2)
        save(storage, later)
        assert storage.read([("order", "A-1")])["order", "A-1"] == later.row

    def test_asking_for_nothing_answers_nothing(self, storage: Storage) -> None:
        assert not storage.read([])
        assert not storage.personal([])
        with storage.transaction() as transaction:
            assert not transaction.load([])

    def test_a_key_asked_for_twice_is_answered_once(self, storage: Storage) -> None:
        save(storage, written("A-1"))
        with storage.transaction() as transaction:
            assert len(transaction.load([("order", "A-1")] * 3)) == 1
        assert len(storage.read([("order", "A-1")] * 3)) == 1

    def test_a_thousand_entities_are_loaded_at_once(self, storage: Storage) -> None:
        save(storage, *(written(f"A-{number}") for number in range(0, 1200, 2)))
        keys = [("order", f"A-{number}") for number in range(1200)]
        with storage.transaction() as transaction:
            assert set(transaction.load(keys)) == set(keys[::2])
        assert set(storage.read(keys)) == set(keys[::2])

    def test_a_transaction_may_load_several_times(self, storage: Storage) -> None:
        save(storage, written("A-1"), written("A-2"))
        with storage.transaction() as transaction:
            transaction.load([("order", "A-1")])
            transaction.load([("order", "A-2"), ("order", "A-3")])
            transaction.commit([written("A-1", 1), written("A-2", 1), written("A-3")])
        assert len(storage.read([("order", "A-1"), ("order", "A-2"), ("order", "A-3")])) == 3

    def test_a_document_of_a_mebibyte_is_kept(self, storage: Storage) -> None:
        doc = random.Random(1).randbytes(1 << 20)
        save(storage, written("A-1", doc=doc))
        assert storage.read([("order", "A-1")])["order", "A-1"].doc == doc

    def test_an_empty_document_is_kept(self, storage: Storage) -> None:
        save(storage, written("A-1", doc=b""))
        assert storage.read([("order", "A-1")])["order", "A-1"].doc == b""

    def test_an_entity_without_events_is_kept_without_history(self, storage: Storage) -> None:
        row = Row(("command", "c-1"), 1, b"{}", "", AT)
        save(storage, Write(row, 0, (), {}, {}))
        assert storage.read([row.key]) == {row.key: row}
        assert not storage.history(row.key)

    def test_a_commit_of_nothing_changes_nothing(self, storage: Storage) -> None:
        save(storage)
        assert not storage.feed()

    # Texts are kept as they are

    @pytest.mark.parametrize("id", ODD_IDS, ids=lambda text: ascii(text)[:30])
    def test_an_id_is_kept_as_it_is(self, storage: Storage, id: str) -> None:
        save(storage, written(id, index={"sku": id}, personal=[PersonalValue(id, id, b"x")]))
        assert set(storage.read([("order", id)])) == {("order", id)}
        assert ids(storage.find(Query(kind="order", equal={"sku": [id]}))) == [id]
        assert [entry.key for entry in storage.history(("order", id))] == [("order", id)]
        assert storage.personal([id]) == {id: b"x"}
        assert storage.erase(id) == 1

    def test_ids_that_look_alike_are_different(self, storage: Storage) -> None:
        save(storage, *(written(id, index={"sku": id}, doc=id.encode()) for id in ODD_IDS))
        rows = storage.read([("order", id) for id in ODD_IDS])
        assert {key[1]: row.doc.decode() for key, row in rows.items()} == {id: id for id in ODD_IDS}
        for id in ODD_IDS:
            assert ids(storage.find(Query(kind="order", equal={"sku": [id]}))) == [id]

    def test_answers_come_in_code_point_order(self, storage: Storage) -> None:
        save(storage, *(written(id, index={"sku": id}) for id in ODD_IDS))
        assert ids(storage.find(Query(kind="order"))) == sorted(ODD_IDS)
        assert ids(storage.find(Query(kind="order", upto=("sku", "\U0010ffff" * 2)))) == sorted(ODD_IDS)

    @pytest.mark.parametrize("id", ["nul\0inside", "\0", "half a pair \ud800", "\udfff"], ids=ascii)
    def test_a_text_that_no_store_can_keep_is_refused_before_writing(self, storage: Storage, id: str) -> None:
        good = written("A-1")
        for bad in (
            written(id),
            written("A-2", kind=id),
            written("A-2", index={"sku": id}),
            written("A-2", personal=[PersonalValue(id, "s", b"")]),
            written("A-2", personal=[PersonalValue("r", id, b"")]),
        ):
            with pytest.raises(InvalidInput):
                save(storage, good, bad)
        assert not storage.feed()
        assert not storage.read([good.row.key])

    @pytest.mark.parametrize("id", ["nul\0inside", "half a pair \ud800"], ids=ascii)
    def test_a_text_that_no_store_can_keep_is_refused_in_a_question(self, storage: Storage, id: str) -> None:
        questions: list[Callable[[], object]] = [
            lambda: storage.read([("order", id)]),
            lambda: storage.history(("order", id)),
            lambda: storage.find(Query(kind="order", equal={"sku": [id]})),
            lambda: storage.find(Query(kind="order", after=("", id))),
            lambda: storage.personal([id]),
            lambda: storage.erase(id),
            lambda: storage.statuses(id),
        ]
        for question in questions:
            with pytest.raises(InvalidInput):
                question()

    # All or nothing

    def test_leaving_without_a_commit_undoes(self, storage: Storage) -> None:
        save(storage, written("A-1"))
        with storage.transaction() as transaction:
            transaction.load([("order", "A-1")])
        assert storage.read([("order", "A-1")])["order", "A-1"].version == 1
        assert len(storage.feed()) == 1

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    def test_an_exception_inside_undoes_and_leaves_nothing_locked(
        self, storage: Storage, error: type[BaseException]
    ) -> None:
        save(storage, written("A-1"))
        with pytest.raises(error), storage.transaction() as transaction:
            transaction.load([("order", "A-1")])
            raise error
        together(2, lambda _: increment(storage, ("order", "A-1")))
        assert storage.read([("order", "A-1")])["order", "A-1"].version == 3

    def test_a_conflict_names_every_stale_row(self, storage: Storage) -> None:
        save(storage, written("A-1"), written("A-2"), written("A-3"))
        with pytest.raises(Conflict) as caught:
            save(storage, written("A-1"), written("A-2", 1), written("A-3", 2), written("A-4", 1), written("A-5"))
        assert sorted(caught.value.keys) == [("order", "A-1"), ("order", "A-3"), ("order", "A-4")]

    def test_a_conflict_names_stale_rows_that_were_loaded_too(self, storage: Storage) -> None:
        save(storage, written("A-1"), written("A-2"))
        with pytest.raises(Conflict) as caught, storage.transaction() as transaction:
            transaction.load([("order", "A-1"), ("order", "A-3")])
            transaction.commit([written("A-1", 2), written("A-2", 2), written("A-3", 1)])
        assert sorted(caught.value.keys) == [("order", "A-1"), ("order", "A-2"), ("order", "A-3")]

    def test_a_conflict_changes_nothing(self, storage: Storage) -> None:
        personal = [PersonalValue("r", "s", b"{}")]
        save(storage, written("A-1", index={"status": "new"}))
        with pytest.raises(Conflict):
            save(
                storage,
                written("A-2", index={"status": "new"}, personal=personal),
                written("A-1", 0, index={"status": "done"}, unindex={"status": "new"}),
            )
        assert set(storage.read([("order", "A-1"), ("order", "A-2")])) == {("order", "A-1")}
        assert len(storage.feed()) == 1
        assert not storage.history(("order", "A-2"))
        assert storage.statuses("order") == {"new": 1}
        assert not storage.personal(["r"])

    def test_a_conflict_leaves_nothing_locked(self, storage: Storage) -> None:
        save(storage, written("A-1"))
        with pytest.raises(Conflict):
            save(storage, written("A-1"))
        together(2, lambda _: increment(storage, ("order", "A-1")))
        assert storage.read([("order", "A-1")])["order", "A-1"].version == 3

    def test_creating_what_exists_is_a_conflict(self, storage: Storage) -> None:
        save(storage, written("A-1", events=2))
        with pytest.raises(Conflict, match="A-1"):
            save(storage, written("A-1", 0, events=3))

    def test_changing_what_does_not_exist_is_a_conflict(self, storage: Storage) -> None:
        with pytest.raises(Conflict, match="A-1"):
            save(storage, written("A-1", 1))
        assert not storage.read([("order", "A-1")])

    def test_a_conflict_of_a_later_version_is_one_even_if_the_new_version_is_the_same(self, storage: Storage) -> None:
        save(storage, written("A-1"))
        save(storage, written("A-1", 1))
        with pytest.raises(Conflict):
            save(storage, written("A-1", 1))

    def test_nothing_may_follow_a_commit(self, storage: Storage) -> None:
        with storage.transaction() as transaction:
            transaction.commit([written("A-1")])
            with pytest.raises(StorageFailed):
                transaction.commit([written("A-2")])
            with pytest.raises(StorageFailed):
                transaction.load([("order", "A-1")])
        assert not storage.read([("order", "A-2")])

    def test_nothing_may_follow_the_end_of_a_transaction(self, storage: Storage) -> None:
        with storage.transaction() as transaction:
            pass
        with pytest.raises(StorageFailed):
            transaction.commit([written("A-1")])
        with pytest.raises(StorageFailed):
            transaction.load([("order", "A-1")])

    def test_an_entity_twice_in_one_commit_is_refused(self, storage: Storage) -> None:
        with pytest.raises(InvalidInput):
            save(storage, written("A-1"), written("A-1", 1))
        assert not storage.feed()

    def test_events_that_do_not_lead_to_the_row_are_refused(self, storage: Storage) -> None:
        write = written("A-1", events=2)
        with pytest.raises(InvalidInput):
            save(storage, Write(write.row, 0, write.entries[:1], {}, {}))
        with pytest.raises(InvalidInput):
            save(storage, Write(write.row, 0, write.entries[::-1], {}, {}))
        assert not storage.feed()

    # Several at once

    def test_no_increment_is_lost_between_eight_threads(self, storage: Storage) -> None:
        def work(_: int) -> None:
            for _round in range(10):
                increment(storage, ("stock", "SKU"))

        together(8, work)
        assert storage.read([("stock", "SKU")])["stock", "SKU"].version == 80
        assert [entry.version for entry in storage.history(("stock", "SKU"))] == list(range(1, 81))

    def test_of_eight_who_create_the_same_entity_one_succeeds(self, storage: Storage) -> None:
        def work(number: int) -> bool:
            try:
                save(storage, written("A-1", doc=b"%d" % number))
            except Conflict:
                return False
            return True

        outcomes = together(8, work)
        assert outcomes.count(True) == 1
        assert storage.read([("order", "A-1")])["order", "A-1"].doc == b"%d" % outcomes.index(True)

    def test_what_is_decided_on_a_loaded_row_is_not_overtaken(self, storage: Storage) -> None:
        # Blind writers: expected versions alone must keep one of two from winning twice.
        def work(_: int) -> int:
            won = 0
            for version in range(20):
                try:
                    save(storage, written("A-1", version))
                except Conflict:
                    continue
                won += 1
            return won

        together(4, work)
        final = storage.read([("order", "A-1")])["order", "A-1"].version
        assert [entry.version for entry in storage.history(("order", "A-1"))] == list(range(1, final + 1))

    def test_readers_never_see_half_a_commit(self, storage: Storage) -> None:
        keys = [("order", "A"), ("order", "B")]
        save(storage, written("A", index={"status": "s0"}), written("B", index={"status": "s0"}))
        done = threading.Event()

        def write() -> None:
            try:
                for version in range(1, 60):
                    old, new = {"status": f"s{(version - 1) % 2}"}, {"status": f"s{version % 2}"}
                    save(storage, *(written(id, version, index=new, unindex=old) for id in "AB"))
            finally:
                done.set()

        def read() -> None:
            while not done.is_set():
                assert len({row.version for row in storage.read(keys).values()}) == 1
                assert len(storage.find(Query(kind="order", equal={"status": ["s0"]}))) in {0, 2}
                assert storage.statuses("order") in ({"s0": 2}, {"s1": 2})
                assert len(storage.feed()) % 2 == 0

        together(3, lambda number: read() if number else write())

    def test_an_open_transaction_shows_nothing_and_stops_no_reader(self, storage: Storage) -> None:
        save(storage, written("A-1"))
        with storage.transaction() as transaction:
            transaction.load([("order", "A-1")])
            rows = together(1, lambda _: storage.read([("order", "A-1")]))[0]
            assert rows["order", "A-1"].version == 1
            assert len(storage.feed()) == 1
            transaction.commit([written("A-1", 1)])
        assert storage.read([("order", "A-1")])["order", "A-1"].version == 2

    def test_a_committed_change_is_seen_by_every_thread(self, storage: Storage) -> None:
        together(2, lambda _: storage.read([("order", "A-1")]))
        save(storage, written("A-1"))
        assert all(together(4, lambda _: storage.read([("order", "A-1")])))

    def test_a_row_that_somebody_holds_is_left_out_if_asked_so(self, storage: Storage) -> None:
        if storage.exclusive:
            pytest.skip("one transaction at a time: nobody else holds a row")
        save(storage, written("A-1"), written("A-2"))
        keys = [("order", "A-1"), ("order", "A-2")]
        with storage.transaction() as first, storage.transaction() as second:
            first.load(keys[:1])
            assert set(second.load(keys, skip_locked=True)) == {("order", "A-2")}

    def test_an_exclusive_store_has_one_transaction_at_a_time(self, storage: Storage) -> None:
        if not storage.exclusive:
            pytest.skip("transactions on other rows go on meanwhile")
        opened: list[int] = []

        def work(number: int) -> None:
            with storage.transaction() as transaction:
                opened.append(number)
                time.sleep(0.01)
                transaction.load([("order", f"A-{number}")])
                assert opened[-1] == number

        together(4, work)
        assert sorted(opened) == [0, 1, 2, 3]

    def test_with_nobody_about_skip_locked_leaves_nothing_out(self, storage: Storage) -> None:
        save(storage, written("A-1"))
        with storage.transaction() as transaction:
            assert len(transaction.load([("order", "A-1")], skip_locked=True)) == 1

    # Finding

    def test_without_conditions_all_of_a_kind_come_by_id(self, storage: Storage) -> None:
        save(storage, *(written(id) for id in "dacb"), written("z", kind="parcel"))
        assert [found.place for found in storage.find(Query(kind="order"))] == [("", id) for id in "abcd"]

    def test_an_answer_carries_the_whole_row(self, storage: Storage) -> None:
        write = written("A-1", index={"status": "new", "due": "5"})
        save(storage, write)
        assert storage.find(Query(kind="order")) == [Found(("", "A-1"), write.row)]
        assert storage.find(Query(kind="order", equal={"status": ["new"]})) == [Found(("", "A-1"), write.row)]
        assert storage.find(Query(kind="order", upto=("due", "5"))) == [Found(("5", "A-1"), write.row)]

    def test_one_of_several_values_is_enough(self, storage: Storage) -> None:
        statuses = {"a": "new", "b": "paid", "c": "done", "d": "new"}
        save(storage, *(written(id, index={"status": status}) for id, status in statuses.items()))
        assert ids(storage.find(Query(kind="order", equal={"status": ["new", "done"]}))) == ["a", "c", "d"]

    def test_a_value_named_twice_answers_once(self, storage: Storage) -> None:
        save(storage, written("a", index={"status": "new"}))
        assert ids(storage.find(Query(kind="order", equal={"status": ["new", "new"]}))) == ["a"]

    def test_every_name_must_match(self, storage: Storage) -> None:
        save(
            storage,
            written("a", index={"status": "new", "customer": "1"}),
            written("b", index={"status": "new", "customer": "2"}),
            written("c", index={"status": "paid", "customer": "1"}),
            written("d", index={"customer": "1"}),
        )
        query = Query(kind="order", equal={"status": ["new", "paid"], "customer": ["1"]})
        assert ids(storage.find(query)) == ["a", "c"]

    def test_no_value_allowed_matches_nothing(self, storage: Storage) -> None:
        save(storage, written("a", index={"status": "new"}))
        assert not storage.find(Query(kind="order", equal={"status": []}))
        assert not storage.find(Query(kind="order", equal={"status": ["new"], "customer": []}))

    def test_indexes_of_another_kind_do_not_match(self, storage: Storage) -> None:
        save(storage, written("a", index={"status": "new"}), written("b", kind="parcel", index={"status": "new"}))
        assert ids(storage.find(Query(kind="order", equal={"status": ["new"]}))) == ["a"]
        assert ids(storage.find(Query(kind="parcel", upto=("status", "z")))) == ["b"]

    def test_upto_includes_its_bound_and_orders_by_value_then_id(self, storage: Storage) -> None:
        dues = {"a": "3", "b": "1", "c": "2", "d": "1", "e": "4"}
        save(storage, *(written(id, index={"due": due}) for id, due in dues.items()), written("f"))
        found = storage.find(Query(kind="order", upto=("due", "3")))
        assert [answer.place for answer in found] == [("1", "b"), ("1", "d"), ("2", "c"), ("3", "a")]

    def test_upto_and_equal_hold_together(self, storage: Storage) -> None:
        save(
            storage,
            written("a", index={"due": "2", "status": "waiting"}),
            written("b", index={"due": "1", "status": "done"}),
            written("c", index={"due": "1", "status": "waiting"}),
            written("d", index={"due": "9", "status": "waiting"}),
        )
        query = Query(kind="order", upto=("due", "5"), equal={"status": ["waiting"]})
        assert ids(storage.find(query)) == ["c", "a"]

    def test_the_same_index_may_bound_and_filter(self, storage: Storage) -> None:
        save(storage, *(written(id, index={"due": id}) for id in "abcd"))
        assert ids(storage.find(Query(kind="order", upto=("due", "c"), equal={"due": ["b", "d"]}))) == ["b"]

    def test_a_page_has_at_most_its_limit(self, storage: Storage) -> None:
        save(storage, *(written(id, index={"due": "1"}) for id in "abc"))
        assert ids(storage.find(Query(kind="order", limit=2))) == ["a", "b"]
        assert ids(storage.find(Query(kind="order", upto=("due", "1"), limit=2))) == ["a", "b"]
        assert not storage.find(Query(kind="order", limit=0))
        assert not storage.find(Query(kind="order", limit=-1))

    def test_the_next_page_starts_behind_the_place_even_if_its_entity_has_moved(self, storage: Storage) -> None:
        save(storage, *(written(id, index={"due": "1", "status": "new"}) for id in "abc"))
        place = storage.find(Query(kind="order", upto=("due", "5"), limit=2))[-1].place
        save(storage, written("b", 1, index={"due": "7", "status": "paid"}, unindex={"due": "1", "status": "new"}))
        assert ids(storage.find(Query(kind="order", upto=("due", "5"), after=place))) == ["c"]
        assert ids(storage.find(Query(kind="order", equal={"status": ["new"]}, after=("", "b")))) == ["c"]

    @pytest.mark.parametrize("seed", SEEDS)
    def test_pages_of_any_size_give_what_a_plain_search_gives(self, storage: Storage, seed: int) -> None:
        chance = random.Random(seed)
        model: dict[str, dict[str, str]] = {}
        versions: dict[str, int] = {}
        for _ in range(12):
            batch: list[Write] = []
            for id in chance.sample([f"{n:02}" for n in range(40)], 10):
                names = chance.sample(["status", "due", "customer"], chance.randrange(4))
                index = {name: chance.choice("abcdé🛒") for name in names}
                old = model.get(id, {})
                unindex = {name: value for name, value in old.items() if index.get(name) != value}
                batch.append(written(id, versions.get(id, 0), index=index, unindex=unindex))
                model[id] = index
                versions[id] = versions.get(id, 0) + 1
            save(storage, *batch)
        for _ in range(40):
            equal = {
                name: chance.sample("abcdé🛒", chance.randint(1, 4))
                for name in chance.sample(["status", "due", "customer"], chance.randrange(3))
            }
            upto = chance.choice([None, ("due", chance.choice("abcdé🛒"))])
            query = Query(kind="order", equal=equal, upto=upto, limit=chance.randint(1, 9))
            expected = sorted(
                (index[upto[0]] if upto else "", id)
                for id, index in model.items()
                if all(index.get(name) in values for name, values in equal.items())
                and (not upto or index.get(upto[0], "\U0010ffff") <= upto[1])
            )
            assert [found.place for found in all_pages(storage, query)] == expected, query
        counts = [index["status"] for index in model.values() if "status" in index]
        assert storage.statuses("order") == {value: counts.count(value) for value in set(counts)}

    # Indexes follow the state

    def test_a_changed_index_value_is_found_under_the_new_one_only(self, storage: Storage) -> None:
        save(storage, written("a", index={"status": "new"}))
        save(storage, written("a", 1, index={"status": "paid"}, unindex={"status": "new"}))
        assert not storage.find(Query(kind="order", equal={"status": ["new"]}))
        assert ids(storage.find(Query(kind="order", equal={"status": ["paid"]}))) == ["a"]

    def test_an_index_value_taken_away_is_not_found_any_more(self, storage: Storage) -> None:
        save(storage, written("a", index={"status": "new", "due": "1"}))
        save(storage, written("a", 1, index={"status": "new"}, unindex={"due": "1"}))
        assert not storage.find(Query(kind="order", upto=("due", "9")))
        assert ids(storage.find(Query(kind="order", equal={"status": ["new"]}))) == ["a"]

    def test_an_index_value_that_stays_is_found_once(self, storage: Storage) -> None:
        save(storage, written("a", index={"status": "new"}))
        save(storage, written("a", 1, index={"status": "new"}))
        assert ids(storage.find(Query(kind="order", equal={"status": ["new"]}))) == ["a"]
        assert storage.statuses("order") == {"new": 1}

    def test_taking_away_a_value_that_is_not_there_harms_nobody(self, storage: Storage) -> None:
        save(storage, written("a", index={"status": "new"}))
        save(storage, written("b", unindex={"status": "new", "due": "1"}))
        assert storage.statuses("order") == {"new": 1}

    def test_statuses_count_the_entities_of_a_kind(self, storage: Storage) -> None:
        save(
            storage,
            *(written(id, index={"status": "new", "due": "1"}) for id in "abc"),
            written("d", index={"status": "paid"}),
            written("e"),
            written("a", kind="parcel", index={"status": "new"}),
        )
        assert storage.statuses("order") == {"new": 3, "paid": 1}
        assert not storage.statuses("refund")

    # History and feed

    def test_the_history_has_every_event_as_it_was_written(self, storage: Storage) -> None:
        first, second = written("A-1", events=2), written("A-1", 2, events=1)
        save(storage, first)
        save(storage, second)
        history = storage.history(("order", "A-1"))
        assert [(e.version, e.doc, e.hash, e.at, e.actor, e.cause, e.command_id) for e in history] == [
            (e.version, e.doc, e.hash, e.at, e.actor, e.cause, e.command_id) for e in first.entries + second.entries
        ]

    def test_the_history_of_nobody_is_empty(self, storage: Storage) -> None:
        save(storage, written("A-1"))
        assert not storage.history(("order", "A-2"))
        assert not storage.history(("parcel", "A-1"))

    def test_the_history_is_read_in_pages(self, storage: Storage) -> None:
        save(storage, written("A-1", events=10), written("A-2", events=3))
        assert [entry.version for entry in storage.history(("order", "A-1"), after=4, limit=3)] == [5, 6, 7]
        assert [entry.version for entry in storage.history(("order", "A-1"), after=9)] == [10]
        assert not storage.history(("order", "A-1"), after=10)
        assert not storage.history(("order", "A-1"), limit=0)

    def test_the_feed_has_all_events_in_the_order_of_commits(self, storage: Storage) -> None:
        save(storage, written("b", events=2), written("a"))
        save(storage, written("c"), written("b", 2))
        feed = storage.feed()
        assert [(e.key[1], e.version) for e in feed] == [("b", 1), ("b", 2), ("a", 1), ("c", 1), ("b", 3)]
        assert [e.position for e in feed] == sorted({e.position for e in feed})
        assert feed[0].position == 1

    def test_feed_and_history_tell_the_same_positions(self, storage: Storage) -> None:
        save(storage, written("a"), written("b"))
        save(storage, written("a", 1))
        assert list(storage.history(("order", "a"))) == [e for e in storage.feed() if e.key == ("order", "a")]

    def test_the_feed_is_read_in_pages(self, storage: Storage) -> None:
        save(storage, written("a", events=20))
        assert [entry.version for entry in whole_feed(storage, limit=3)] == list(range(1, 21))
        assert not storage.feed(limit=0)
        assert not storage.feed(after=10**30)

    def test_a_follower_misses_nothing_while_others_write(self, storage: Storage) -> None:
        finished: list[int] = []
        seen: list[Entry] = []

        def write(number: int) -> None:
            try:
                for version in range(15):
                    save(storage, written(f"A-{number}", version))
            finally:
                finished.append(number)

        def follow() -> None:
            while len(finished) < 4:
                seen.extend(whole_feed(storage, after=seen[-1].position if seen else 0))

        together(5, lambda number: write(number) if number else follow())
        seen.extend(whole_feed(storage, after=seen[-1].position if seen else 0))
        assert len(seen) == 60
        assert seen == whole_feed(storage)

    # People

    def test_personal_values_are_kept_beside_the_history(self, storage: Storage) -> None:
        personal = [PersonalValue("r1", "ann", b"Ann"), PersonalValue("r2", "bob", b"Bob")]
        save(storage, written("A-1", personal=personal))
        assert storage.personal(["r1", "r2", "r3"]) == {"r1": b"Ann", "r2": b"Bob"}

    def test_an_erased_person_is_forgotten_and_nobody_else(self, storage: Storage) -> None:
        save(storage, written("A-1", personal=[PersonalValue(f"r{n}", "ann", b"x") for n in range(3)]))
        save(storage, written("A-2", personal=[PersonalValue("s", "bob", b"y")]))
        assert storage.erase("ann") == 3
        assert storage.personal(["r0", "r1", "r2", "s"]) == {"s": b"y"}
        assert storage.erase("ann") == 0
        assert len(storage.read([("order", "A-1"), ("order", "A-2")])) == 2

    def test_a_value_written_again_under_its_reference_is_replaced(self, storage: Storage) -> None:
        save(storage, written("A-1", personal=[PersonalValue("r", "ann", b"old")]))
        save(storage, written("A-1", 1, personal=[PersonalValue("r", "ann", b"new")]))
        assert storage.personal(["r"]) == {"r": b"new"}
        assert storage.erase("ann") == 1

    def test_a_thousand_personal_values_are_read_at_once(self, storage: Storage) -> None:
        refs = [f"r{n}" for n in range(1200)]
        save(storage, written("A-1", personal=[PersonalValue(ref, "ann", ref.encode()) for ref in refs]))
        assert storage.personal(refs) == {ref: ref.encode() for ref in refs}

    # The end, and a new beginning

    def test_a_durable_store_has_everything_after_reopening(self, storage: Storage) -> None:
        save(storage, written("A-1", index={"status": "new"}, personal=[PersonalValue("r", "ann", b"Ann")]))
        feed = list(storage.feed())
        again = self.reopen(storage)
        try:
            assert list(again.feed()) == feed
            assert ids(again.find(Query(kind="order", equal={"status": ["new"]}))) == ["A-1"]
            assert again.personal(["r"]) == {"r": b"Ann"}
            save(again, written("A-1", 1))
            assert again.feed()[-1].position > feed[-1].position
        finally:
            again.close()

    def test_a_store_without_durability_says_so(self, storage: Storage) -> None:
        assert storage.volatile == (type(self).reopen is StorageContract.reopen)

    def test_a_closed_store_refuses(self, storage: Storage) -> None:
        save(storage, written("A-1"))
        storage.close()
        questions: list[Callable[[], object]] = [
            lambda: save(storage, written("A-2")),
            lambda: storage.read([("order", "A-1")]),
            lambda: storage.find(Query(kind="order")),
            lambda: storage.history(("order", "A-1")),
            storage.feed,
            lambda: storage.personal(["r"]),
            lambda: storage.erase("ann"),
            lambda: storage.statuses("order"),
        ]
        for question in questions:
            with pytest.raises(StorageFailed, match="closed"):
                question()

    def test_closing_twice_is_closing(self, storage: Storage) -> None:
        storage.close()
        storage.close()

    def test_it_is_a_storage(self, storage: Storage) -> None:
        assert isinstance(storage, Storage)
