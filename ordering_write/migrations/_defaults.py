"""Defaults of the columns that were added without one, by migration, table and column.

The migration that adds a column sets its default at once. A later one sets them all, for databases
that had the columns before.
"""

BY_MIGRATION = {
    "0005": {
        "ordering_write_order": {
            "assignee": "''",
            "captured": "0",
            "hold_reason": "''",
            "notes": "'{}'",
            "payments": "'{}'",
            "refunded": "0",
            "refunds": "'{}'",
            "returns": "'{}'",
        },
        "ordering_write_shipment": {
            "carrier": "''",
            "tracking_number": "''",
            "tracking_url": "''",
        },
    },
    "0006": {"command_record": {"answer": "''"}},
}
