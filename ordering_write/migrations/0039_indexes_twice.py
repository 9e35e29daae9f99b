"""Drops two indexes whose columns a unique constraint indexes too.

CONCURRENTLY, so that commands don't wait. Django would also check the foreign key of each line anew,
under a lock.
"""

from django.db import migrations, models
from django.db.models import deletion

_ORDER = "ordering_write_orderitem_order_id_93d4e16b"
_LINE = "ordering_write_reservation_line_id_63f57a16"


def _drop(index: str, columns: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        f"DROP INDEX CONCURRENTLY IF EXISTS {index}",
        f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {index} ON {columns}",
    )


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("ordering_write", "0038_monitoring")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                _drop(_ORDER, "ordering_write_orderitem (order_id)"),
                _drop(_LINE, "ordering_write_reservation (line_id)"),
            ],
            state_operations=[
                migrations.AlterField(
                    "orderitem",
                    "order",
                    models.ForeignKey(
                        "ordering_write.order", deletion.PROTECT, related_name="+", db_index=False
                    ),
                ),
                migrations.AlterField("reservation", "line_id", models.UUIDField()),
            ],
        )
    ]
