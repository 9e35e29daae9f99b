"""Defaults of the columns that were added without one, by migration, table and column.

The migration that adds a column sets its default at once. A later one sets them all, for databases
that had the columns before. Rows that hold a default until a rebuild are outdated.
"""

BY_MIGRATION = {
    "0004": {
        "projection": {
            "asked_to": "''",
            "definition": "''",
            "events_done": "0",
            "events_total": "0",
            "filled_until": "0",
        },
    },
    "0006": {
        "projection": {"batch_seconds": "0", "batches": "0", "last_batch_seconds": "0"},
    },
    "0007": {"fill_slice": {"last_stream": "''"}},
    "0008": {"projection": {"alone_until": "0", "parked_streams": "0", "start": "0"}},
    "0009": {
        "order_line_view": {
            "cancelled": "0",
            "delivered": "0",
            "failed": "0",
            "packed": "0",
            "price_reason": "''",
            "price_source": "'client'",
            "return_requested": "0",
            "returned": "0",
            "shipped": "0",
        },
        "order_summary": {
            "adjustments": "'[]'",
            "assigned_to": "''",
            "authorized": "0",
            "captured": "0",
            "fulfilment_status": "'unfulfilled'",
            "hold_reason": "''",
            "note_count": "0",
            "notes": "'[]'",
            "payment_status": "'unpaid'",
            "payments": "'[]'",
            "placed_on": "'1970-01-01'",
            "refunded": "0",
            "refunds": "'[]'",
            "return_status": "'none'",
            "returns": "'[]'",
            "shipments": "'[]'",
        },
    },
    "0011": {
        "customer_stats": {"returned_units": "0"},
        "customer_view": {"blocked_for": "''", "phone": "''"},
        "inventory_level": {"backorderable": "false", "is_low": "false"},
        "sales_by_day": {"refunded": "0"},
        "sales_by_product": {"cancelled_units": "0", "refunded": "0", "returned_units": "0"},
        "stock_ledger": {"comment": "''", "reason": "''"},
        "order_timeline": {"about_name": "''", "icon": "'order'"},
    },
    "0015": {"fill_slice": {"alone": "0", "starts": "0"}},
}
