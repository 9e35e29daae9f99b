from django.db import migrations

from config.databases.defaults import set_defaults
from ordering_read.migrations._defaults import BY_MIGRATION


class Migration(migrations.Migration):
    # One table at a time: a transaction that locks several tables can deadlock with requests.
    atomic = False
    # For databases that had the columns before their migrations set defaults, and for new ones.

    dependencies = [("ordering_read", "0022_outdated")]

    operations = [
        operation for tables in BY_MIGRATION.values() for operation in set_defaults(tables)
    ]
