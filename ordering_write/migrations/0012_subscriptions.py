from django.db import migrations, models


class Migration(migrations.Migration):
    # Two fields have new names; their columns and all rows stay as they are. The policies get an
    # alarm like the projections: a column that is empty while they aren't late.

    dependencies = [
        ('ordering_write', '0011_sequence_log_by_index'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveField(model_name='policycheckpoint', name='start'),
                migrations.AddField(
                    model_name='policycheckpoint',
                    name='crash_suspicion',
                    field=models.PositiveSmallIntegerField(choices=[(0, 'no runner was lost'), (1, 'a runner that had leased the checkpoint was lost'), (2, 'a runner has counted its start since then'), (3, 'that runner was lost too')], db_column='start', default=0),
                ),
                migrations.RemoveField(model_name='policycheckpoint', name='alone_until'),
                migrations.AddField(
                    model_name='policycheckpoint',
                    name='isolate_until',
                    field=models.BigIntegerField(db_column='alone_until', default=0, help_text='Events up to this position are applied one by one, since runners were killed.'),
                ),
                migrations.AlterField(
                    model_name='policycheckpoint',
                    name='leased_until',
                    field=models.DateTimeField(blank=True, help_text='Until then the checkpoint belongs to one runner.', null=True),
                ),
                migrations.AlterField(
                    model_name='policycheckpoint',
                    name='parked_streams',
                    field=models.PositiveIntegerField(default=0, help_text="How many streams are blocked by an event that can't be applied."),
                ),
                migrations.AlterField(
                    model_name='policyparkedevent',
                    name='category',
                    field=models.CharField(choices=[('unknown-type', 'its type is unknown'), ('undecodable', "it can't be read"), ('projection-error', 'applying it failed'), ('crash', 'applying it killed the process'), ('waiting', 'an earlier event of its stream')], help_text='What blocks it.', max_length=20),
                ),
            ],
        ),
        migrations.AddField(
            model_name='policycheckpoint',
            name='late_at',
            field=models.DateTimeField(blank=True, help_text='Since when the subscriber is late; empty otherwise.', null=True),
        ),
    ]
