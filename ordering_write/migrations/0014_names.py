import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    # Names and help texts; all tables, columns and rows stay as they are.

    dependencies = [
        ('ordering_write', '0013_labels'),
    ]

    operations = [
        # Its table has its own name, so that nothing is renamed in the database.
        migrations.RenameModel('CommandTally', 'CommandMetric'),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name='commandmetric',
                    name='reason',
                    field=models.CharField(blank=True, help_text='The name of the error, if any.', max_length=60),
                ),
                migrations.RemoveField(model_name='commandrecord', name='answer'),
                migrations.AddField(
                    model_name='commandrecord',
                    name='stored_response',
                    field=models.TextField(blank=True, db_column='answer', help_text='The response to the client, for a repeat with the same key.'),
                ),
                migrations.AlterField(
                    model_name='commandrecord',
                    name='fingerprint',
                    field=models.CharField(help_text='SHA-256 of type and payload: a repeat has the same.', max_length=64),
                ),
                migrations.AlterField(
                    model_name='eventposition',
                    name='event',
                    field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='event_position', to='ordering_write.outboxevent'),
                ),
                migrations.AlterField(
                    model_name='timer',
                    name='id',
                    field=models.UUIDField(help_text='Derived from event and policy, so that it exists once.', primary_key=True, serialize=False),
                ),
                migrations.AlterField(
                    model_name='timer',
                    name='leased_until',
                    field=models.DateTimeField(blank=True, help_text='Until then it belongs to a worker or pauses.', null=True),
                ),
                migrations.AlterField(
                    model_name='timer',
                    name='parked_at',
                    field=models.DateTimeField(blank=True, help_text='When it was given up; empty while it is tried.', null=True),
                ),
                migrations.AlterField(
                    model_name='timer',
                    name='position',
                    field=models.BigIntegerField(help_text='The position of the event in the log.'),
                ),
                migrations.AlterField(
                    model_name='timer',
                    name='skipped_at',
                    field=models.DateTimeField(blank=True, help_text='When an operator gave it up for good.', null=True),
                ),
            ],
        ),
    ]
