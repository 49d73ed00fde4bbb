"""What a fake provider has on its books: every deed with its time, to be told by webhook or listed in pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
from attrs import define, field
from pendulum import DateTime

from ...engine.adapters import Listing, Notice
from . import webhooks


@define
class Books:
    """Deeds in the order in which they were done."""

    secrets: tuple[str, ...]
    page_size: int
    entries: list[tuple[DateTime, Notice]] = field(factory=list[tuple[DateTime, Notice]])

    def enter(self, at: DateTime, notice: Notice) -> Notice:
        """Something was done at this time."""
        notice = attrs.evolve(notice, event_id=f"evt-{len(self.entries) + 1:06d}")
        self.entries.append((at, notice))
        return notice

    def find(self, what: str) -> Notice:
        """The notice with this event id, key, reference, or id of a deed; the last one if several."""
        for _, notice in reversed(self.entries):
            deeds = [getattr(value, "transaction_id", "") for value in notice.result]
            if what in (notice.event_id, notice.key, *deeds):
                return notice
        for _, notice in reversed(self.entries):
            if what == notice.reference:
                return notice
        raise LookupError(f"nothing on the books is called {what!r}")

    def webhook(
        self, what: Sequence[Notice | str], *, at: DateTime, secret: str | None, with_key: bool
    ) -> tuple[dict[str, str], bytes]:
        """Signed headers and body that tell these."""
        notices = [one if isinstance(one, Notice) else self.find(one) for one in what]
        if not with_key:
            notices = [attrs.evolve(notice, key="", event_id=f"{notice.event_id}-bare") for notice in notices]
        return webhooks.signed(notices, secret=secret or self.secrets[0], at=at)

    def parse(self, headers: Mapping[str, str], body: bytes, *, now: DateTime) -> list[Notice]:
        """See `Telling.parse_webhook`."""
        return webhooks.parse(headers, body, secrets=self.secrets, now=now)

    def page(self, since: DateTime, until: DateTime, cursor: str | None) -> Listing:
        """Everything that succeeded in this time, in pages."""
        listed = [notice for at, notice in list(self.entries) if since <= at <= until and notice.answer == "succeeded"]
        start = int(cursor or 0)
        end = start + self.page_size
        return Listing(tuple(listed[start:end]), str(end) if end < len(listed) else None)
