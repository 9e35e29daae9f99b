from django.db import migrations, models


class Migration(migrations.Migration):
    # Two fields have new names; their columns and all rows stay as they are.

    dependencies = [
        ('ordering_read', '0018_help_texts'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveField(model_name='projection', name='start'),
                migrations.AddField(
                    model_name='projection',
                    name='crash_suspicion',
                    field=models.PositiveSmallIntegerField(choices=[(0, 'no runner was lost'), (1, 'a runner that had leased the checkpoint was lost'), (2, 'a runner has counted its start since then'), (3, 'that runner was lost too')], db_column='start', default=0),
                ),
                migrations.RemoveField(model_name='projection', name='alone_until'),
                migrations.AddField(
                    model_name='projection',
                    name='isolate_until',
                    field=models.BigIntegerField(db_column='alone_until', default=0, help_text='Events up to this position are applied one by one, since runners were killed.'),
                ),
                migrations.AlterField(
                    model_name='projection',
                    name='leased_until',
                    field=models.DateTimeField(blank=True, help_text='Until then the checkpoint belongs to one runner.', null=True),
                ),
                migrations.AlterField(
                    model_name='projection',
                    name='parked_streams',
                    field=models.PositiveIntegerField(default=0, help_text="How many streams are blocked by an event that can't be applied."),
                ),
                migrations.AlterField(
                    model_name='parkedevent',
                    name='category',
                    field=models.CharField(choices=[('unknown-type', 'its type is unknown'), ('undecodable', "it can't be read"), ('projection-error', 'applying it failed'), ('crash', 'applying it killed the process'), ('waiting', 'an earlier event of its stream')], help_text='What blocks it.', max_length=20),
                ),
                migrations.AlterField(
                    model_name='projection',
                    name='late_at',
                    field=models.DateTimeField(blank=True, help_text='Since when the subscriber is late; empty otherwise.', null=True),
                ),
            ],
        ),
    ]
