"""New names for fields and a model. Tables and columns keep their names.

``order_summary.note_count`` and ``customer_view.blocked_for`` are no longer used. Both columns stay
for the previous release, which still writes them; their defaults let this release leave them out.
"""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ordering_read', '0016_kept_answers'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "ALTER TABLE order_summary ALTER COLUMN note_count SET DEFAULT 0",
                    "ALTER TABLE order_summary ALTER COLUMN note_count DROP DEFAULT",
                ),
                migrations.RunSQL(
                    "ALTER TABLE customer_view ALTER COLUMN blocked_for SET DEFAULT ''",
                    "ALTER TABLE customer_view ALTER COLUMN blocked_for DROP DEFAULT",
                ),
            ],
            state_operations=[
                migrations.RemoveField(model_name='ordersummary', name='note_count'),
                migrations.RemoveField(model_name='customersummary', name='blocked_for'),
                migrations.RenameModel(old_name='KeptAnswer', new_name='StoredResponse'),
                migrations.RenameField(
                    model_name='storedresponse', old_name='answer', new_name='response'
                ),
                migrations.RenameField(
                    model_name='projection', old_name='definition', new_name='code_fingerprint'
                ),
                migrations.RenameField(
                    model_name='projection', old_name='asked_to', new_name='rebuild_request'
                ),
                migrations.RenameField(
                    model_name='fillslice', old_name='alone', new_name='isolated'
                ),
                migrations.AlterField(
                    model_name='storedresponse',
                    name='response',
                    field=models.JSONField(db_column='answer'),
                ),
                migrations.AlterField(
                    model_name='projection',
                    name='code_fingerprint',
                    field=models.CharField(
                        blank=True,
                        db_column='definition',
                        help_text='A hash of the code that made the rows.',
                        max_length=64,
                    ),
                ),
                migrations.AlterField(
                    model_name='projection',
                    name='rebuild_request',
                    field=models.CharField(
                        blank=True,
                        choices=[('pause', 'Pause'), ('cancel', 'Cancel')],
                        db_column='asked_to',
                        help_text='The request that the running rebuild obeys after its batch.',
                        max_length=10,
                    ),
                ),
                migrations.AlterField(
                    model_name='fillslice',
                    name='isolated',
                    field=models.PositiveIntegerField(
                        db_column='alone',
                        default=0,
                        help_text='The number of next events to apply one by one, since processes '
                        'were killed.',
                    ),
                ),
            ],
        ),
    ]
