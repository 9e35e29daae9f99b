"""The commands, in the imperative: a payload that the caller gives, and an envelope that we add.

Every command of these modules is a name of this package; a new one needs no line here.
"""

from ordering_write.domain.commands.base import *
from ordering_write.domain.commands.customer import *
from ordering_write.domain.commands.fulfilment import *
from ordering_write.domain.commands.money import *
from ordering_write.domain.commands.order import *
from ordering_write.domain.commands.stock import *
