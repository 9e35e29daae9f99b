"""The two signals of the write side."""

from django.dispatch import Signal

# Sent inside the transaction, when aggregates are saved.
# Arguments: events (list of DomainEvent, with envelopes), customer_id (UUID of the customer whose
# personal fields the events hold, or None).
domain_events = Signal()

# Sent after each commit with events. No arguments: a wake-up carries no data.
events_committed = Signal()
