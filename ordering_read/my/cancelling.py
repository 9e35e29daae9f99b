"""The question before an order is cancelled."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from config.http.answers.problems import detail_of, is_anticipated
from ordering_read.my.base import CommandPage
from ordering_write import client


class CancelPage(CommandPage):
    """Asks whether the order shall be cancelled, and cancels it."""

    template_name = "my/cancel.html"

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            self.give(
                client.CancelOrder,
                done="The order is cancelled.",
                order_id=self.order.id,
                reason="Cancelled by the customer",
                reason_code="customer",
            )
        except Exception as error:
            if not is_anticipated(error):
                raise
            messages.error(request, detail_of(error))
        return redirect(self.url)
