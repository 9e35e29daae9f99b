"""The events, in the past tense: the only thing that the write side publishes.

An event's own fields are facts; ``timestamp`` says when they became true (UTC). The envelope (who,
by which command, where in the log) is added when the aggregate is saved. Fields named in
``personal`` are kept beside the log, so that they can be erased.

A stored event is never rewritten. An event type whose fields change gets the next
``schema_version``, and an upcaster that turns a payload of the previous version into a new one.

This package exports every event of its modules; a new event needs no line here.
"""

from ordering_write.domain.events.base import *
from ordering_write.domain.events.customer import *
from ordering_write.domain.events.fulfilment import *
from ordering_write.domain.events.money import *
from ordering_write.domain.events.order import *
from ordering_write.domain.events.states import *
from ordering_write.domain.events.stock import *
