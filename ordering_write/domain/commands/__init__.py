"""The commands, in the imperative: a payload that the caller gives, and an envelope that we add.

This package exports every command of its modules; a new command needs no line here.
"""

from ordering_write.domain.commands.adjusting import *
from ordering_write.domain.commands.amounts import *
from ordering_write.domain.commands.base import *
from ordering_write.domain.commands.customer import *
from ordering_write.domain.commands.fulfilment import *
from ordering_write.domain.commands.imports import *
from ordering_write.domain.commands.money import *
from ordering_write.domain.commands.order import *
from ordering_write.domain.commands.stock import *
