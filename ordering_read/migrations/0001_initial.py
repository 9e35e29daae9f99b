"""The checkpoints of the projections, and the workers that were seen."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Projection',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.BigIntegerField(default=0, help_text='The last position that was applied.')),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('leased_until', models.DateTimeField(blank=True, help_text='Until then a runner is taken to be at it.', null=True)),
                ('error', models.TextField(blank=True, help_text="Why it can't go on; empty when it can.")),
                ('failed_at', models.DateTimeField(blank=True, null=True)),
                ('name', models.CharField(max_length=60)),
                ('generation', models.PositiveIntegerField(default=1)),
                ('version', models.PositiveIntegerField(help_text='Of the code that made the rows.')),
                ('status', models.CharField(choices=[('live', 'Live'), ('building', 'Building'), ('retired', 'Retired')], max_length=10)),
                ('late_at', models.DateTimeField(blank=True, help_text="Since when it has been late; empty when it isn't.", null=True)),
            ],
            options={
                'db_table': 'projection',
                'ordering': ['name', 'generation'],
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('name', 'generation'), name='projection_generation_unique'), models.UniqueConstraint(condition=models.Q(('status', 'live')), fields=('name',), name='projection_one_live'), models.UniqueConstraint(condition=models.Q(('status', 'building')), fields=('name',), name='projection_one_building')],
            },
        ),
        migrations.CreateModel(
            name='Worker',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('host', models.CharField(max_length=255)),
                ('pid', models.PositiveIntegerField()),
                ('seen_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'db_table': 'worker',
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('host', 'pid'), name='worker_unique')],
            },
        ),
    ]
