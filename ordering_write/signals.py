"""The two signals through which the write side speaks."""

from django.dispatch import Signal

# Inside the transaction, when aggregates are saved.
# Arguments: events (list of DomainEvent, with their envelopes), customer_id (UUID or None: whose
# personal fields they hold).
domain_events = Signal()

# After the commit, once per commit that held events. No arguments: a wake-up carries nothing.
events_committed = Signal()
