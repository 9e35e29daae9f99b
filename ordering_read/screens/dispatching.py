"""The dispatch page: packed parcels go to their carrier, each with its tracking number."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from config.http.admin import parse_uuid
from ordering_read.admin import kept_forms
from ordering_read.admin.base import user_of
from ordering_read.queries.packing import GetPackingOrders, ListParcels, ParcelView
from ordering_read.screens.base import Screen
from ordering_read.screens.orders_named import MOST_ORDERS, numbers_in, order_number
from ordering_read.screens.packing import DISPATCH, Answer, started_job
from ordering_read.screens.wave import text_problem
from ordering_write import client
from ordering_write.client import commands as c

# The most orders whose parcels are on the page after many scans.
_MOST_SCANNED = 200


@dataclass
class OpenParcel:
    """A parcel on the page: if it is selected, its typed tracking number, and what is wrong."""

    parcel: ParcelView
    is_selected: bool = False
    tracking_number: str = ""
    problem: str = ""


class DispatchScreen(Screen):
    """The parcels that wait for their carrier, with a field for scanners.

    The address may name orders (``?orders=2026-000301``). The parcel of an order is selected where
    only one fits. Each scan is kept, and answered by a page to which the back button leads.
    """

    template_name = "screens/dispatch.html"
    title = "Dispatch"
    needed_permission = DISPATCH

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if kept := kept_forms.find_or_tell(request):
            return self._answer(kept.texts)
        numbers = numbers_in(request.GET.get("orders", ""))
        opened = self._parcels(numbers)
        answer = Answer()
        if numbers:
            for number in numbers:
                _select_only(opened, number)
            missing = [number for number in numbers if not _of_order(opened, number)]
            text = self._why_missing(*missing) if missing else ""
            answer = Answer(text, is_problem=bool(text))
        return self._page(opened, answer, uuid4())

    def post(self, request: HttpRequest) -> HttpResponse:
        """Dispatch the selected parcels, or keep the form, which the next page answers."""
        if request.POST.get("do") == "dispatch":
            job_id = parse_uuid(request.POST.get("job_id", "")) or uuid4()
            if job := started_job(request, job_id):
                return job
            fields = request.POST.dict()
            opened, carrier = self._opened(fields), _carrier(fields)
            if not _refusal(opened, fields, carrier):
                kept_forms.drop(request)
                return self._dispatch(opened, carrier, job_id)
        return redirect(kept_forms.keep(request))

    def _answer(self, fields: Mapping[str, str]) -> HttpResponse:
        """Select a scanned parcel, take a scanned tracking number, or say what is wrong."""
        opened, carrier = self._opened(fields), _carrier(fields)
        current = parse_uuid(fields.get("current", ""))
        job_id = parse_uuid(fields.get("job_id", "")) or uuid4()
        if fields.get("do") == "dispatch":
            text = _refusal(opened, fields, carrier)
            return self._page(opened, Answer(text, is_problem=True), job_id, carrier=carrier)
        answer, current = self._scan(opened, fields.get("code", "").strip(), current)
        return self._page(opened, answer, job_id, carrier=carrier, current=current)

    def _opened(self, fields: Mapping[str, str]) -> list[OpenParcel]:
        """Return the parcels of a form that wait, as people have selected and typed."""
        opened = self._parcels(numbers_in(fields.get("orders", ""), most=_MOST_SCANNED))
        for item in opened:
            key = item.parcel.shipment_id
            item.is_selected = f"select-{key}" in fields
            item.tracking_number = fields.get(f"tracking-{key}", item.tracking_number).strip()
        return opened

    def _parcels(self, numbers: tuple[str, ...]) -> list[OpenParcel]:
        parcels = self.ask(ListParcels(order_numbers=numbers, orders=len(numbers) or MOST_ORDERS))
        return [OpenParcel(parcel, tracking_number=parcel.tracking_number) for parcel in parcels]

    def _page(
        self,
        opened: list[OpenParcel],
        answer: Answer,
        job_id: UUID,
        *,
        carrier: str = "",
        current: UUID | None = None,
    ) -> HttpResponse:
        context = self.get_context_data(
            opened=opened,
            answer=answer,
            # The next request is about the same orders, whatever has been packed meanwhile.
            numbers=dict.fromkeys(item.parcel.order_number for item in opened),
            job_id=job_id,
            carrier=carrier,
            current=current,
            signature=kept_forms.signature(user_of(self.request)),
        )
        return self.render_to_response(context)

    # --- Scans -----------------------------------------------------------------------------------
    def _scan(
        self, opened: list[OpenParcel], code: str, current: UUID | None
    ) -> tuple[Answer, UUID | None]:
        """Return the answer to a scan, and the parcel that the next tracking number is for."""
        if not code:
            return Answer(), current
        number = order_number(code)
        if not _of_order(opened, number):
            opened += self._parcels((number,))
        if parcels := _of_order(opened, number):
            return _select(parcels, number)
        if self.ask(GetPackingOrders(order_numbers=(number,))):
            return Answer(self._why_missing(number), is_problem=True), None
        return _track(opened, code, current)

    def _why_missing(self, *numbers: str) -> str:
        """Return a sentence for each of these orders, which have no parcel on the page."""
        orders = self.ask(GetPackingOrders(order_numbers=numbers))
        unknown = set(numbers) - {order.order_number for order in orders}
        texts = [f"There is no order {number}." for number in sorted(unknown)]
        for order in orders:
            reason = order.refusal or "nothing of it is packed yet"
            texts.append(f"Order {order.order_number} has no parcel to dispatch: {reason}.")
        return " ".join(texts)

    # --- Dispatch --------------------------------------------------------------------------------
    def _dispatch(self, opened: list[OpenParcel], carrier: str, job_id: UUID) -> HttpResponse:
        job_id = client.bulk.start(
            job_id,
            [_draft(item, carrier) for item in opened if item.is_selected],
            title="Dispatch",
            user=user_of(self.request),
            is_confirmed=True,
        )
        return redirect("screens:bulk-action", job_id)


def _carrier(fields: Mapping[str, str]) -> str:
    return fields.get("carrier", "").strip()


def _refusal(opened: list[OpenParcel], fields: Mapping[str, str], carrier: str) -> str:
    """Return why the parcels of a form aren't dispatched, "" if they can be; mark the problems."""
    wanted = {name for name in fields if name.startswith("select-")}
    shown = {f"select-{item.parcel.shipment_id}" for item in opened}
    for item in opened:
        item.problem = _problem(item, carrier)
    if wanted - shown:
        return (
            "A selected parcel no longer waits: a colleague has dispatched or unpacked it, or its "
            "order is on hold. Look at the others and send them again."
        )
    if any(item.problem for item in opened):
        return "Nothing is dispatched yet: see what is wrong below."
    if not any(item.is_selected for item in opened):
        return "Nothing is dispatched: no parcel is selected."
    return ""


def _of_order(opened: list[OpenParcel], number: str) -> list[OpenParcel]:
    return [item for item in opened if item.parcel.order_number == number]


def _select_only(opened: list[OpenParcel], number: str) -> None:
    parcels = _of_order(opened, number)
    if len(parcels) == 1:
        parcels[0].is_selected = True


def _select(parcels: list[OpenParcel], number: str) -> tuple[Answer, UUID | None]:
    """Select the only parcel of an order that isn't selected yet."""
    unselected = [item for item in parcels if not item.is_selected]
    if len(unselected) > 1:
        text = (
            f"Order {number} has {len(unselected)} parcels here: tick the one in your hand, and "
            "scan its tracking number into its field."
        )
        return Answer(text, is_problem=True), None
    [item] = unselected or parcels[-1:]
    item.is_selected = True
    return Answer(f"Order {number}: scan its tracking number."), item.parcel.shipment_id


def _track(opened: list[OpenParcel], code: str, current: UUID | None) -> tuple[Answer, UUID | None]:
    """Take a tracking number for the current parcel."""
    targets = [item for item in opened if item.parcel.shipment_id == current]
    if not targets:
        text = f"“{code}” is not the number of an order. Scan the order first, then the tracking."
        return Answer(text, is_problem=True), None
    for item in opened:
        if item.tracking_number == code and item is not targets[0]:
            text = f"{code} is the tracking number of order {item.parcel.order_number} already."
            return Answer(text, is_problem=True), current
    targets[0].tracking_number = code
    return Answer(f"{code}: order {targets[0].parcel.order_number}. Scan the next order."), None


def _problem(item: OpenParcel, carrier: str) -> str:
    if not item.is_selected and item.tracking_number != item.parcel.tracking_number:
        return "It has a tracking number, but isn't selected."
    return text_problem(carrier, item.tracking_number) if item.is_selected else ""


def _draft(item: OpenParcel, carrier: str) -> client.bulk.ItemDraft:
    parcel = item.parcel
    fields = {
        "shipment_id": str(parcel.shipment_id),
        "carrier": parcel.carrier or carrier,
        "tracking_number": item.tracking_number,
    }
    return client.bulk.ItemDraft(
        parcel.order_id, parcel.order_number, [(c.DispatchShipment, fields)]
    )
