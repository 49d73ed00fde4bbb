"""What every store promises, as tests: subclass `StorageContract`, give it your store, run pytest.

    class TestMyStorage(StorageContract):
        @pytest.fixture
        def storage(self):
            with closing(MyStorage(...)) as storage:
                yield storage

The store must be empty at the start of each test.  A test that fails as yet is named in `known_failures`, with its
reason; overriding one is refused: see `contract`.
"""

# ruff: noqa: S101, PT012 - this is a test module

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from ordermgmt.engine.transaction import Entry, PersonalValue, Query, Row, Storage, Write
from ordermgmt.errors import Conflict, InvalidInput, StorageFailed
from ordermgmt.storage.checks import INDEXED_BYTES_MAX

from .rows import AT, all_pages, ids, increment, save, together, whole_feed, written
from .storage_races import RacesContract
from .storage_search import SearchContract

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
    "x" * (INDEXED_BYTES_MAX // 2),
)
LETTERS_MAX = INDEXED_BYTES_MAX // 3


class StorageContract(SearchContract, RacesContract, declares=True):
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

    def test_an_id_with_an_index_value_is_kept_up_to_what_every_store_can_index(self, storage: Storage) -> None:
        chance = random.Random(1)  # letters that nothing can compress, of three bytes each

        def letters(count: int) -> str:
            return "".join(chr(chance.randrange(0x4E00, 0x9FA0)) for _ in range(count))

        long, value = letters(LETTERS_MAX // 2), letters(LETTERS_MAX - LETTERS_MAX // 2)
        longest = letters(LETTERS_MAX)
        save(storage, written(long, index={"sku": value}), written(longest))
        assert ids(storage.find(Query(kind="order", equal={"sku": [value]}))) == [long]
        for bad in (
            written("A-1", index={"sku": letters(LETTERS_MAX)}),
            written(letters(LETTERS_MAX + 1)),
            written(long, 1, index={"sku": value + "x"}),
        ):
            with pytest.raises(InvalidInput, match="shorten"):
                save(storage, written("good"), bad)
        assert len(storage.feed()) == 2
        assert ("order", "good") not in storage.read([("order", "good")])

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


__all__ = ["StorageContract", "all_pages", "ids", "increment", "save", "together", "whole_feed", "written"]
