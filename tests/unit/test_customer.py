"""The Customer aggregate: its guards, its refusals and the events that it raises."""

import pytest
from uuid_utils.compat import uuid7

from ordering_write.domain import events as e
from ordering_write.domain.errors import CustomerErasedError
from ordering_write.models import Customer
from tests.kit import NOW, event, given


def registration_events():
    event = e.CustomerRegistered(
        timestamp=NOW,
        customer_id=uuid7(),
        name="Robin Sample",
        email="robin@example.com",
        phone="555 0100",
    )
    return Customer.register(event).pending_events


def events_after(*acts):
    """Return the events of a customer after these acts."""
    past = registration_events()
    customer = Customer.fold(past)
    for act in acts:
        act(customer)
    return past + customer.pending_events


def block(customer):
    customer.block("Doesn't pay", now=NOW)


def unblock(customer):
    customer.unblock("Has paid", now=NOW)


def erase(customer):
    customer.erase("Asked for it", erased={"orders": 2}, now=NOW)


def test_an_event_carries_only_the_details_that_changed():
    def change(customer):
        customer.change_details(name="Robin Sample", email="r@example.com", phone="", now=NOW)

    given(*registration_events()).when(change).then(
        event(e.CustomerDetailsChanged, name=None, email="r@example.com", phone="")
    )


def test_details_without_a_change_raise_no_event():
    def change(customer):
        customer.change_details(name="Robin Sample", phone="555 0100", now=NOW)

    given(*registration_events()).when(change).then()


def test_a_customer_is_blocked_once():
    def twice(customer):
        block(customer)
        block(customer)

    given(*registration_events()).when(twice).then(event(e.CustomerBlocked, reason="Doesn't pay"))


def test_a_blocked_customer_is_unblocked_once():
    def twice(customer):
        unblock(customer)
        unblock(customer)

    outcome = given(*events_after(block)).when(twice)
    outcome.then(event(e.CustomerUnblocked, reason="Has paid"))
    assert outcome.aggregate.status == Customer.Status.ACTIVE


@pytest.mark.parametrize("past", [(), (block,)])
def test_an_erased_customer_has_no_name_or_email(past):
    outcome = given(*events_after(*past)).when(erase)
    outcome.then(event(e.CustomerErased, reason="Asked for it", erased={"orders": 2}))
    customer = outcome.aggregate
    assert (customer.name, customer.email, customer.phone) == ("[erased]", "[erased]", "")
    assert customer.status == Customer.Status.ERASED


@pytest.mark.parametrize(
    "act",
    [block, unblock, erase, lambda customer: customer.change_details(name="Robin", now=NOW)],
)
def test_an_erased_customer_refuses_every_change(act):
    given(*events_after(erase)).when(act).then_refused(
        CustomerErasedError, "The customer was erased; that is final."
    )
