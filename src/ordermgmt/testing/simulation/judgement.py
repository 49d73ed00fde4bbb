"""The laws of a simulated world that only somebody sees who knows both sides: our books, and those of the providers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from ... import verify
from ...engine.effects import Intent
from ...engine.messages import counted
from ...engine.work_requests import Call
from ...orders.entry import PlaceOrder
from ...orders.following import balance
from ...orders.holds import may_perform
from ...orders.lifecycle import GONE_OUT, IN_THE_HOUSE
from ...orders.model import Order, OrderLine
from ...orders.reckoning import earned
from ...payments.messages import Authorise
from ...payments.model import Payment
from ...refunds.messages import SendRefund
from ...shipments.messages import Track
from ...shipments.model import DELIVERED, STAGES, UNDELIVERABLE, Shipment
from ...stock.model import Reservation

CARRIED = ("picked", "packed", "shipped", "delivered", "undeliverable")
"""What parcels and the units in them are called alike."""

if TYPE_CHECKING:
    from .actors import Actor
    from .watch import Watch
    from .world import World


class Judgement:
    """What must be true of a world.  Whatever is not, it tells as a breach."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.breach = world.breach
        self._worth: dict[str, int] = {}
        """Of an order: the most that what had left the house was ever worth."""

    @property
    def watch(self) -> Watch:
        """What has happened so far."""
        return self.world.watch

    def sending(self, call: Call, actor: Actor) -> None:
        """E1–E7 as they show from outside: only what is committed and claimed is sent, one at a time in a lane."""
        effect_id = call.intent.effect_id
        if call.lookup or isinstance(call.request, Track):
            return
        self.watch.look()
        intent = self.watch.state("effect", effect_id)
        if not isinstance(intent, Intent):
            self.breach("E4", f"{effect_id} is sent, but was never planned")
            return
        if call.intent.key not in self.world.keys_of(intent):
            self.breach("E3", f"{effect_id} is sent under a key that is none of its own")
        if intent.first_sent is None and intent.generation == 1 and intent.token < 2 and not intent.ended:
            self.breach("E7", f"{effect_id} is sent, but nobody has noted that it is being sent: {intent.status}")
        asks = call.request
        in_time = actor.now() < call.intent.due  # else the worker notices, and sends nothing
        if isinstance(asks, Authorise) and in_time and self.watch.state("payment", asks.payment_id).withdrawn:
            self.breach("E7", f"{effect_id} is sent, but nobody wants the money any more")
        for other in self.watch.states("effect"):
            before = isinstance(other, Intent) and other.lane == intent.lane and other.effect_id < effect_id
            if before and not other.ended:
                self.breach("E7", f"{effect_id} overtakes {other.effect_id}, which is {other.status}, in its lane")

    def succeeded(self, intent: Intent) -> None:
        """E6: nothing counts as done before its provider has done it and would say so."""
        deed = self.world.provider(intent.port).deeds.get(intent.effect_id)
        if intent.kind != "Track" and (deed is None or self.world.now < deed.ready):
            self.breach("E6", f"{intent.effect_id} counts as done, but {intent.port[1]} has not told so")

    def everything(self) -> None:
        """All that must be true when everything has ended."""
        report = verify.check_all(self.world.shop)
        for breach in report.breaches:
            self.breach(breach.law, f"{breach.kind} {breach.id}: {breach.explanation}")
        ours = {key for one in self.watch.states("effect") for key in self.world.keys_of(one)}
        for provider in self.world.providers:
            for deed in provider.deeds.values():
                if deed.key not in ours:
                    self.breach("E4", f"{provider.name} executed {deed.effect_id} under a key of no effect of ours")
                intent = self.watch.state("effect", deed.effect_id)
                if intent.status != "succeeded":
                    self.breach("E6", f"{provider.name} executed {deed.effect_id}, which is {intent.status} here")
        for intent in self.watch.states("effect"):
            done = intent.kind == "Track" or intent.effect_id in self.world.provider(intent.port).deeds
            if intent.status == "succeeded" and not done:
                self.breach("E6", f"{intent.effect_id} succeeded, but {intent.port[1]} never executed it")
        for payment in self.watch.states("payment"):
            self._book(payment)
        for order in self.watch.states("order"):
            self._end(order)
            self._waits_for_nobody(order)
        for shipment in self.watch.states("shipment"):
            self._followed_up(shipment)
        self._ids_of_channels()
        self._noes()
        self._labels()
        self._discrepancies()
        self._refunds()
        self._promises()

    def _book(self, payment: Payment) -> None:
        """M9: our book is the provider's."""
        if not payment.gateway:
            return
        if payment.asks:
            self.breach("M9", f"{payment.payment_id} still waits for {payment.asks}")
        account = self.world.gateways[payment.gateway].accounts.get(payment.payment_id)
        theirs = account.amounts if account is not None else type(payment.amounts)()
        if payment.amounts != theirs:
            self.breach("M9", f"{payment.payment_id}: our book says {payment.amounts}, the provider's {theirs}")

    def _end(self, order: Order) -> None:
        """What has ended holds nothing, and the money has followed the goods."""
        id = order.order_id
        own = any(p.gateway and self._acted(p.gateway, p.payment_id) for p in self._payments(order))
        declined = {verb for tally in order.payments.values() for verb in tally.declined}
        if wishes := balance(order):
            self.breach("M6", f"{id} still has wishes: {wishes}")
        money = order.money
        kept = money.paid - money.refund_pending
        if order.status in verify.ENDED and order.status != "closed":
            reservation = self.watch.state("reservation", id)
            if isinstance(reservation, Reservation) and reservation.claims:
                self.breach("C4", f"{id} is {order.status} and claims {reservation.claims}")
            if order.count(*IN_THE_HOUSE):
                self.breach("C4", f"{id} is {order.status}, but units stand in the house")
            if order.count(*GONE_OUT):
                self.breach("C4", f"{id} is {order.status}, but units have left the house")
            if not own and kept > 0 and "refund" not in declined:
                self.breach("C4", f"{id} is {order.status} and keeps {kept}")
            if not own and money.open > 0 and "void" not in declined:
                self.breach("C4", f"{id} is {order.status}, and {money.open} are still authorised")
        elif not own and not declined:
            if kept > max(order.due.minor, 0):
                self.breach("M6", f"{id} keeps {kept}, due are {order.due}")
            if order.terms.kind == "now":
                self._collected(order, kept)

    def _collected(self, order: Order, kept: int) -> None:
        """The money has followed the goods: reckoned here once more, roughly, by the units alone."""
        id = order.order_id
        # An amendment may leave what it adds to be paid on account.
        on_account = order.amended and order.money.capturable <= 0
        if kept < earned(order) and not on_account:
            self.breach("M6", f"{id} keeps {kept}, earned are {earned(order)}")
        left = order.count(*IN_THE_HOUSE)
        if not left and order.count(*GONE_OUT) and kept != order.due.minor and not on_account:
            self.breach("M6", f"{id} has all its units out and keeps {kept}, due are {order.due}")
        if order.count("shipped") and all(self._arrived(shipment) for shipment in order.shipments):
            away = counted(order.count("shipped"), "unit has", "units have")
            self.breach("Q2", f"every parcel of {id} has arrived, but {away} not")

    def _waits_for_nobody(self, order: Order) -> None:
        """E10: what an order needs to go on was asked for."""
        if order.status in verify.ENDED or order.is_draft:
            return
        stocked = [line.line_id for line in order.lines.values() if line.kind == "stocked" and line.count("open")]
        if stocked and self.watch.state("reservation", order.order_id) is None:
            self.breach("E10", f"{order.order_id}: nobody sets lines {', '.join(stocked)} aside")
        for line in order.lines.values():
            if line.kind != "stocked" and line.count("open") and may_perform(order):
                self.breach("E10", f"{order.order_id}: nobody performs line {line.line_id}")
        waits = order.status == "confirmed" and order.count("reserved") and not order.shipments
        if waits and self.world.planned:
            self.breach(
                "E10", f"{order.order_id}: nobody packs {counted(order.count('reserved'), 'unit')} into a parcel"
            )

    def _followed_up(self, shipment: Shipment) -> None:
        """E10: what a parcel asks of its carrier was asked, and a no is told."""
        id = shipment.shipment_id
        asked = [one for one in self._effects("carriers") if one[1].shipment_id == id]
        of_labels = [intent.kind for intent, _ in asked if intent.kind in ("BuyLabel", "VoidLabel")]
        if (len(of_labels), of_labels.count("VoidLabel")) != (shipment.labels, shipment.voided):
            wanted = f"parcel {id} wants {shipment.labels} things of its carrier, {shipment.voided} of them voids"
            self.breach("E10", f"{wanted}; asked was {of_labels}")
        # A carrier that did not say where it is need not be complained of once that is known.
        known = self._arrived(id)
        if any(intent.status == "failed" and not (known and intent.kind == "Track") for intent, _ in asked):
            self._told("shipment", id)
        self._addressed(shipment)
        carried = shipment.carrier and shipment.label is not None and shipment.handed_over_at is not None
        if carried and not any(intent.kind == "Track" for intent, _ in asked):
            self.breach("E10", f"parcel {id} is on its way, and nobody asks where it is")

    def _ids_of_channels(self) -> None:
        """R1: an id of a channel is taken by an order that has it, and by none that was never placed and has ended."""
        for taken in self.watch.states("reference"):
            order = self.watch.state("order", taken.order_id) if taken.order_id else None
            if order is None:
                continue
            line = order.lines.get(taken.line_id)
            has = order.external if not taken.line_id else line.external if line is not None else ""
            if has != taken.external or (order.is_draft and order.status in verify.ENDED):
                self.breach("R1", f"{taken.external!r} is kept for {order.order_id}, which has no use for it")

    def _noes(self) -> None:
        """E10: a gateway's no to what was to follow is told to people."""
        for intent, request in self._effects("gateways"):
            if intent.status == "failed" and intent.kind != "Authorise":
                self._told("payment", request.payment_id)
                if isinstance(request, SendRefund):
                    self._told("refund", request.refund_id)

    def _told(self, kind: str, id: str) -> None:
        if not any(one.about == (kind, id) for one in self.watch.states("discrepancy")):
            self.breach("E10", f"{kind} {id}: something of it was declined, and nobody was told")

    def _addressed(self, shipment: Shipment) -> None:
        """Q2: a parcel that has no label yet goes where its order goes."""
        order = self.watch.state("order", shipment.order_id)
        alone = shipment.status in STAGES and shipment.orders == (order.order_id,)
        if alone and not shipment.labels and shipment.ship_to != order.ship_to:
            self.breach("Q2", f"parcel {shipment.shipment_id} goes elsewhere than its order")

    def _effects(self, family: str) -> list[tuple[Intent, Any]]:
        """What was asked of a family of adapters."""
        thaw = self.world.shop.assembly.codec.thaw
        return [(one, thaw(one.request)) for one in self.watch.states("effect") if one.port[0] == family]

    def order(self, order: Order) -> None:
        """What is true of an order in this world, whenever it has changed."""
        self._not_early(order)
        self._inside(order)
        for shipment_id in order.shipments:
            self._addressed(self.watch.state("shipment", shipment_id))

    def _inside(self, order: Order) -> None:
        """Q2: units are picked, packed and carried in parcels and nowhere else, so they stand there with them."""
        inside: Counter[tuple[str, str]] = Counter()
        for shipment_id in order.shipments:
            shipment = self.watch.state("shipment", shipment_id)
            for content in shipment.contents if shipment.status in CARRIED else ():
                inside[content.line_id, shipment.status] += content.quantity
        for line in order.lines.values():
            for bucket in CARRIED if line.kind == "stocked" else ():
                standing, held = line.count(bucket), inside[line.line_id, bucket]
                # What was lost may have been sent again, or given up, before its parcel turned up after all.
                again = bucket in (UNDELIVERABLE, DELIVERED) and order.order_id in self.watch.lost and standing < held
                if standing != held and not again:
                    there = counted(standing, "unit is", "units are")
                    self.breach("Q2", f"{order.order_id}: {there} {bucket}, and {held} in parcels")

    def _not_early(self, order: Order) -> None:
        """M6: no money is collected before its goods have left the house."""
        sold = order.terms.kind != "now" or any(tender.sale for tender in order.terms.tenders)
        if sold or order.order_id in self.watch.lost | self.world.by_hand:
            return
        out = order.count(*GONE_OUT)
        most = sum(charge.minor for charge in order.charges) if out else 0
        most += sum(_dearest(line, line.count(*GONE_OUT)) for line in order.lines.values())
        self._worth[order.order_id] = ever = max(most, self._worth.get(order.order_id, 0))
        if order.amended:  # what was asked in good faith is given back where an amendment makes the order cheaper
            most = ever
        # A webhook without our key tells of a capture while the ask for it still counts as pending: not twice.
        back = order.money.refund_pending if order.amended else 0
        collected = max(order.money.paid - back, order.money.capture_pending)
        own = any(p is not None and self._acted(p.gateway, p.payment_id) for p in self._payments(order))
        if collected > most and not own:
            self.breach("M6", f"{order.order_id} collects {collected}, and what left the house is worth {most} at most")

    def _arrived(self, shipment_id: str) -> bool:
        shipment = self.watch.state("shipment", shipment_id)
        return not isinstance(shipment, Shipment) or shipment.status != "shipped"

    def _payments(self, order: Order) -> list[Payment]:
        return [self.watch.state("payment", payment_id) for payment_id in order.payments]

    def _acted(self, gateway: str, payment_id: str) -> bool:
        account = self.world.gateways[gateway].accounts.get(payment_id)
        return account is not None and account.own

    def _labels(self) -> None:
        """Q3: every label that was paid for is on a parcel, or was given back."""
        live = {s.label.tracking_number for s in self.watch.states("shipment") if s.label is not None}
        refused = sum(one.kind == "VoidLabel" and one.status == "failed" for one in self.watch.states("effect"))
        for parcels in self.world.carriers:
            stray = set(parcels.labels) - parcels.voided - live
            if len(stray) > refused:
                self.breach(
                    "Q3", f"{parcels.name} sold {sorted(stray)}, which are on no parcel and were not given back"
                )

    def _discrepancies(self) -> None:
        """E6: in a world where providers tell the truth, no effect is settled where no arrow leads."""
        for one in self.watch.states("discrepancy"):
            untrue = one.about[0] in ("effect", "inbox", "order", "stock", "reservation")
            if untrue or "a fact was not counted" in one.reason:
                self.breach("E6", f"{' '.join(one.about)}: {one.command}: {one.reason}")

    def _refunds(self) -> None:
        """Every refund has heard what became of it."""
        for refund in self.watch.states("refund"):
            gateway = self.watch.state("payment", refund.payment_id).gateway
            if gateway and refund.status not in ("succeeded", "failed"):
                self.breach("M3", f"refund {refund.refund_id} is still {refund.status}")

    def _promises(self) -> None:
        """J7: what was acknowledged is there."""
        for command_id, promise in self.world.promises.items():
            command = promise.command
            if not isinstance(command, PlaceOrder) or promise.heard != "done":
                continue
            if self.watch.state("order", str(command.order_id)) is None:
                self.breach("J7", f"{command_id} was acknowledged, but there is no order {command.order_id}")

    def parked(self) -> None:
        """E10: what is parked is parked for a reason that we know to be one."""
        for intent in self.world.unended():
            if intent.status != "parked":
                continue
            provider = self.world.provider(intent.port)
            if not intent.reason:
                self.breach("E10", f"{intent.effect_id} is parked without a reason")
            can = provider.capabilities
            if not provider.poisoned.get(intent.effect_id) and can.can_look_up and intent.attempts < 12:
                self.breach(
                    "E10", f"{intent.effect_id} is parked although {provider.name} can be asked: {intent.reason}"
                )


def _dearest(line: OrderLine, units: int) -> int:
    """What so many units of a line come to at most: an amendment may have added some at another price."""
    if len(line.stretches) <= 1:
        return -(-line.minor * units // line.quantity)
    shares = [-(-stretch.minor // stretch.of) for stretch in line.stretches for _ in range(stretch.units)]
    return sum(sorted(shares, reverse=True)[:units])
