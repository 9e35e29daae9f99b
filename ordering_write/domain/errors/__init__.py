"""The refusals of the domain. A docstring is the message, unless the code that raises gives one.

This package exports every error of its modules; a new error needs no line here.
"""

from ordering_write.domain.errors.base import *
from ordering_write.domain.errors.fields import *
from ordering_write.domain.errors.goods import *
from ordering_write.domain.errors.order import *
from ordering_write.domain.errors.requests import *
