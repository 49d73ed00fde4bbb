"""What every store promises about `find` and its indexes; a part of `StorageContract`."""

# ruff: noqa: S101 - this is a test module

from __future__ import annotations

import random

import pytest

from ordermgmt.engine.transaction import Found, Query, Storage, Write

from .contract import Contract
from .rows import all_pages, ids, save, written

SEEDS = range(5)


class SearchContract(Contract, declares=True):
    """`find` gives what a plain search would give, in pages of any size, and indexes follow the state."""

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
