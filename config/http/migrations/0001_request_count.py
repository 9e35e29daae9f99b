"""The counters of requests. They may be lost in a crash, and cost no write-ahead log."""

from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='RequestCount',
            fields=[
                ('key', models.CharField(max_length=60, primary_key=True, serialize=False)),
                ('count', models.BigIntegerField()),
                ('ends_at', models.DateTimeField(db_index=True)),
            ],
            options={
                'db_table': 'request_count',
                'default_permissions': (),
            },
        ),
        migrations.RunSQL(
            # Room in each page for the row as it counts up, so that no index is written.
            "ALTER TABLE request_count SET UNLOGGED, SET (fillfactor = 50)",
            reverse_sql=migrations.RunSQL.noop,
        ),
    ]
