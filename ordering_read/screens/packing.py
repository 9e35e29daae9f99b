"""The packing page: scan an order, scan its units, pack them, and dispatch the parcels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from config.http.admin import parse_uuid
from ordering_read.admin import kept_forms
from ordering_read.admin.base import user_of
from ordering_read.queries.packing import GetNextToPack, GetPackingOrders, PackingOrderView
from ordering_read.screens.base import Screen
from ordering_read.screens.orders_named import (
    MOST_ORDERS,
    gaps_of,
    numbers_in,
    order_number,
    page_of,
)
from ordering_read.screens.wave import MOST_LINES, OpenOrder, Wave
from ordering_write import client

PACK = "ordering_write.create_shipment"
DISPATCH = "ordering_write.dispatch_shipment"


@dataclass
class Answer:
    """The sentence about the last scan or button, which the page shows in large letters."""

    text: str = ""
    is_problem: bool = False


class PackingScreen(Screen):
    """The orders that are being packed, with a field for scanners.

    The address names orders (``?orders=2026-000301,2026-000302``), of which all units that are
    there are counted. An order that is scanned begins without units. Each scan is kept, and
    answered by a page to which the back button leads.
    """

    template_name = "screens/packing.html"
    title = "Packing"
    needed_permission = PACK

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if kept := kept_forms.find_or_tell(request):
            return self._answer(kept.texts)
        numbers = numbers_in(request.GET.get("orders", ""))
        orders = self.ask(GetPackingOrders(order_numbers=numbers)) if numbers else ()
        missing = set(numbers) - {order.order_number for order in orders}
        wave, answer = _without_stopped(Wave([OpenOrder(order) for order in reversed(orders)]))
        for opened in wave.orders:
            opened.fill()
        if missing:
            answer = Answer(f"There is no order {', '.join(sorted(missing))}.", is_problem=True)
        return self._page(wave, answer, job_id=uuid4())

    def post(self, request: HttpRequest) -> HttpResponse:
        """Pack what is counted, or keep the form, which the next page answers."""
        button = request.POST.get("do")
        if button in ("pack", "dispatch"):
            job_id = parse_uuid(request.POST.get("job_id", "")) or uuid4()
            if job := started_job(request, job_id):
                return job
            is_dispatched = button == "dispatch"
            wave, closed = self._wave(request.POST.dict())
            # People look at the orders that are left before anything is packed.
            is_ready = not closed.is_problem and wave.check()
            if is_ready and (drafts := wave.drafts(is_dispatched=is_dispatched)):
                kept_forms.drop(request)
                return self._pack(drafts, job_id, is_dispatched=is_dispatched)
        return redirect(kept_forms.keep(request))

    def _answer(self, fields: Mapping[str, str]) -> HttpResponse:
        """Count a scanned unit, open a scanned order, or say why nothing was packed."""
        wave, closed = self._wave(fields)
        job_id = parse_uuid(fields.get("job_id", "")) or uuid4()
        if closed.is_problem:
            return self._page(wave, closed, job_id=job_id)
        answer = Answer()
        match fields.get("do", "scan").partition(" "):
            case "all" | "none" as which, _, number:
                for opened in wave.orders:
                    if not number or opened.order.order_number == number:
                        opened.fill(is_full=which == "all")
                answer.text = "All that is there is counted." if which == "all" else ""
            case "close", _, number:
                wave.orders = [o for o in wave.orders if o.order.order_number != number]
                answer = Answer(f"Order {number} is closed; nothing of it was packed.")
            case "pack" | "dispatch", _, _ if not wave.check():
                text = "Nothing is packed yet: see what is wrong below."
                answer = Answer(text, is_problem=True)
            case "pack" | "dispatch", _, _:
                answer = Answer("Nothing is packed: no unit is counted.", is_problem=True)
            case _:
                answer = self._scan(wave, fields.get("code", "").strip())
        return self._page(wave, answer, job_id=job_id)

    def _wave(self, fields: Mapping[str, str]) -> tuple[Wave, Answer]:
        """Return the orders of a form that can be packed, and why the others can't."""
        numbers = numbers_in(fields.get("orders", ""))
        orders = self.ask(GetPackingOrders(order_numbers=numbers)) if numbers else ()
        return _without_stopped(Wave.of_form(orders, fields))

    def _page(self, wave: Wave, answer: Answer, *, job_id: UUID) -> HttpResponse:
        context = self.get_context_data(
            wave=wave,
            answer=answer,
            job_id=job_id,
            projection_gaps=gaps_of([opened.order for opened in wave.orders]),
            # The order that was scanned last stands first.
            opened_orders=list(reversed(wave.orders)),
            waiting=() if wave.orders else self._waiting(),
            may_dispatch=self.may(DISPATCH),
            signature=kept_forms.signature(user_of(self.request)),
        )
        return self.render_to_response(context)

    def _waiting(self) -> list[tuple[str, PackingOrderView]]:
        """Return the orders to be packed next, each with its address on this page."""
        orders = self.ask(GetNextToPack())
        return [(page_of("screens:packing", [order.order_number]), order) for order in orders]

    # --- Scans -----------------------------------------------------------------------------------
    def _scan(self, wave: Wave, code: str) -> Answer:
        if not code:
            return Answer()
        if lines := wave.lines_of(code):
            for opened, line in lines:
                if (count := opened.count(line)) < line.in_stock:
                    opened.count_up(line)
                    wave.put_last(opened)
                    number = opened.order.order_number
                    return Answer(f"{line.sku}: {count + 1} of {line.in_stock} for {number}")
            return Answer(f"{lines[0][1].sku}: all units are counted already.", is_problem=True)
        number = order_number(code)
        if found := wave.find(number):
            wave.put_last(found)
            return Answer(f"Order {number}: scan its units.")
        return self._open(wave, code, number)

    def _open(self, wave: Wave, code: str, number: str) -> Answer:
        orders = self.ask(GetPackingOrders(order_numbers=(number,)))
        if not orders:
            text = f"“{code}” is neither the number of an order nor a SKU of the orders here."
            return Answer(text, is_problem=True)
        [order] = orders
        if order.refusal:
            return Answer(f"Order {number} can't be packed: {order.refusal}.", is_problem=True)
        is_full = len(wave.orders) >= MOST_ORDERS
        if is_full or wave.line_count + len(order.lines_to_pack) > MOST_LINES:
            return Answer("Too many orders at once. Pack these first.", is_problem=True)
        wave.orders.append(OpenOrder(order))
        return Answer(f"Order {number} is open: scan its units.")

    # --- Packing ---------------------------------------------------------------------------------
    def _pack(
        self, drafts: Sequence[client.bulk.ItemDraft], job_id: UUID, *, is_dispatched: bool
    ) -> HttpResponse:
        job_id = client.bulk.start(
            job_id,
            drafts,
            title="Pack and dispatch" if is_dispatched else "Pack",
            user=user_of(self.request),
            is_confirmed=True,
        )
        return redirect("screens:bulk-action", job_id)


def started_job(request: HttpRequest, job_id: UUID) -> HttpResponse | None:
    """Return a redirect to the job that the same form has started before, after a second click."""
    own_id = client.bulk.started(job_id, user=user_of(request))
    return redirect("screens:bulk-action", own_id) if own_id else None


def _without_stopped(wave: Wave) -> tuple[Wave, Answer]:
    """Return the wave without the orders that can't be packed, and why they can't."""
    refusals = [
        f"Order {opened.order.order_number} can't be packed: {opened.order.refusal}."
        for opened in wave.orders
        if opened.order.refusal
    ]
    wave.orders = [opened for opened in wave.orders if not opened.order.refusal]
    if wave.line_count > MOST_LINES:
        wave.orders = wave.orders[:1]
        refusals.append("These orders have too many lines for one page: pack them one by one.")
    return wave, Answer(" ".join(refusals), is_problem=bool(refusals))
