"""The current may go at any moment: what was answered is on the disk."""

from __future__ import annotations

import pytest

from tests.faults.power_cut import images, record

SEED = 1


class TestAPowerCut:
    @pytest.mark.parametrize(("mode", "points_min"), [("delete", 1000), ("wal", 500)])
    def test_no_answer_is_lost_and_no_law_broken_wherever_it_strikes(self, mode: str, points_min: int) -> None:
        found = list(images(record(mode), 1, SEED))
        assert [one for one in found if one[2]] == []
        assert len({point for point, _, _ in found}) >= points_min
        assert {answers for _, answers, _ in found} >= set(range(24)), "it struck in every command"


class TestTheTestItself:
    """A store that trusts its disk too much is caught."""

    @pytest.mark.parametrize(
        ("mode", "pragma"),
        [
            ("delete", "synchronous = OFF"),
            # The folder is not synced after the journal was deleted: it may be there again, and undo the commit.
            ("delete", "synchronous = FULL"),
            ("wal", "synchronous = NORMAL"),
        ],
    )
    def test_answers_that_are_not_on_the_disk_are_missed(self, mode: str, pragma: str) -> None:
        assert any(wrong for _, _, wrong in images(record(mode, [pragma]), 1, SEED)), pragma
