"""The forms of which the page "New order" consists, apart from its lines."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from django import forms
from django.conf import settings
from django.urls import reverse_lazy

from config.http.form_renderer import FORM_RENDERER
from ordering_read.admin.codes import countries, currencies

# The ways in which people name the customer, and the address.
EXISTING, NEW = "existing", "new"
PICKED_UP = "picked-up"


def _text(label: str, *, most: int, help_text: str = "", **attributes: Any) -> forms.CharField:
    """Return a field for a text of one line."""
    widget = forms.TextInput(attrs=attributes)
    return forms.CharField(
        label=label, max_length=most, required=False, help_text=help_text, widget=widget
    )


_SUGGESTED_CUSTOMERS: dict[str, Any] = {"data-suggest": reverse_lazy("screens:suggest-customers")}


class CustomerForm(forms.Form):
    """Asks who orders: an existing customer, or a new one."""

    default_renderer = FORM_RENDERER

    who = forms.ChoiceField(
        label="Who orders?",
        choices=[(EXISTING, "A customer of the shop"), (NEW, "A new customer")],
        widget=forms.RadioSelect,
        initial=EXISTING,
    )
    customer = _text(
        "Customer",
        most=254,
        list="customers",
        autocomplete="off",
        **_SUGGESTED_CUSTOMERS,
    )
    name = _text("Name", most=200, autocomplete="off")
    email = _text("E-mail address", most=254, autocomplete="off", inputmode="email")
    phone = _text("Phone", most=40, autocomplete="off", inputmode="tel")

    def __init__(self, data: Mapping[str, str], *, with_personal: bool) -> None:
        super().__init__(data, prefix="customer", label_suffix="")
        searched = "Name, e-mail address or phone" if with_personal else "Name"
        self.fields["customer"].label = searched


class AddressForm(forms.Form):
    """Asks for a new address. Its radio buttons, with the past addresses, are on the page."""

    default_renderer = FORM_RENDERER

    name = _text("Name", most=200, help_text="Leave empty for the customer's name.")
    line1 = _text("Street and number", most=200)
    line2 = _text("Floor, door, company", most=200)
    postal_code = _text("Postal code", most=20)
    city = _text("City", most=200)
    region = _text("Region", most=200)
    country = forms.ChoiceField(
        choices=countries, required=False, initial=lambda: settings.STORE_COUNTRY
    )
    phone = _text("Phone for the carrier", most=40)


class TermsForm(forms.Form):
    """Asks for the currency, the amounts beside the lines, and a note."""

    default_renderer = FORM_RENDERER

    currency = forms.ChoiceField(
        label="Currency",
        choices=lambda: [("", "That of the first product"), *currencies()],
        required=False,
    )
    discount = _text("Discount", most=20, inputmode="decimal")
    discount_label = _text("Reason of the discount", most=100)
    shipping = _text("Shipping", most=20, inputmode="decimal")
    note = forms.CharField(
        label="Note for the shop",
        max_length=4000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class Missing(NamedTuple):
    """A field of a form or a line that is yet to be filled in, and the sentence that asks."""

    part: Any
    field: str
    text: str


def first_fields() -> dict[str, str]:
    """Return the fields of the form at first."""
    empty = ("customer-customer", "customer_id", "customer_text", "address_of")
    return {
        **dict.fromkeys(empty, ""),
        "customer-who": EXISTING,
        "address": NEW,
        "address-country": settings.STORE_COUNTRY,
    }


def unanswered(form: forms.Form, questions: Mapping[str, str]) -> list[Missing]:
    """Return the fields of ``questions`` that are empty, each with its question."""
    return [
        Missing(form, name, text)
        for name, text in questions.items()
        if not form.cleaned_data.get(name) and name not in form.errors
    ]
