"""Queries of the read models, with their handlers, and the bus between them.

The module of a query holds its result and its handler too.
"""

from ordering_read.queries.base import Query, QueryBus, QueryHandler, get_query_bus
from ordering_read.queries.views import Page, View

__all__ = ["Page", "Query", "QueryBus", "QueryHandler", "View", "get_query_bus"]
