"""The modules that a shop's own code may import: their names stay from release to release.

The parts of a shop's package are its write side, its read side, and the module ``endpoints``.
"""

from collections.abc import Mapping, Sequence

_SHARED = (
    "config.accounts.roles",
    "config.databases.tables",
    "config.fields.amount",
    "config.fields.text",
    "config.http.answers.problems",
    "config.shop_apps",
)
_WRITE = (
    *_SHARED,
    "ordering_write.api.bodies",
    "ordering_write.api.orders",
    "ordering_write.api.routes",
    "ordering_write.client",
    "ordering_write.domain.commands",
    "ordering_write.domain.errors",
    "ordering_write.domain.events",
    "ordering_write.domain.values",
    "ordering_write.handlers.base",
    "ordering_write.handlers.order.base",
    "ordering_write.models",
    "ordering_write.policies.base",
    "ordering_write.policies.registry",
    "ordering_write.ports",
    "ordering_write.ports.carrier",
    "ordering_write.ports.catalog",
    "ordering_write.ports.identity",
    "ordering_write.ports.notifier",
    "ordering_write.ports.payment",
    "ordering_write.ports.pricing",
    "ordering_write.ports.risk",
    "ordering_write.ports.tax",
)
_READ = (
    *_SHARED,
    "config.http.admin",
    "config.http.input.ids",
    "ordering_read.admin.base",
    "ordering_read.admin.command_forms",
    "ordering_read.admin.commands",
    "ordering_read.api.base",
    "ordering_read.api.bodies",
    "ordering_read.api.headers",
    "ordering_read.api.list_files",
    "ordering_read.api.parameters",
    "ordering_read.exports.lists",
    "ordering_read.fields",
    "ordering_read.models",
    "ordering_read.models.counted_row",
    "ordering_read.permissions",
    "ordering_read.projections",
    "ordering_read.projections.counting_projector",
    "ordering_read.projections.stream_rows",
    "ordering_read.projections.timeline_sentences",
    "ordering_read.projector",
    "ordering_read.queries.base",
    "ordering_read.queries.filters",
    "ordering_read.queries.lists",
    "ordering_read.queries.views",
    "ordering_read.screens.navigation",
    "ordering_write.client",
    "ordering_write.published",
)
BY_PART: Mapping[str, Sequence[str]] = {
    "write": _WRITE,
    # The packages of which a module imports a module.
    "read": (*_READ, "ordering_read", "ordering_read.screens"),
    "endpoints": (*_SHARED, "config.api"),
}
