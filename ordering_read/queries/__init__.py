"""Queries of the read models, their handlers, and the query bus.

Each module holds the queries of one subject, with their results and handlers.
"""

from ordering_read.queries.base import Query, QueryBus, QueryHandler, get_query_bus
from ordering_read.queries.views import Page, View

__all__ = ["Page", "Query", "QueryBus", "QueryHandler", "View", "get_query_bus"]
