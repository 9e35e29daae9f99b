"""Adds the bulk jobs of people, and their items."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ordering_write', '0034_sequence_by_batch'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='BulkJob',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('title', models.CharField(help_text='The commands, as people read them.', max_length=100)),
                ('created_at', models.DateTimeField()),
                ('checked_at', models.DateTimeField(help_text='When the last dry run had ended.', null=True)),
                ('confirmed_at', models.DateTimeField(help_text='When the user agreed.', null=True)),
                ('finished_at', models.DateTimeField(help_text='When no command was left to give.', null=True)),
                ('leased_until', models.DateTimeField(help_text='The time until which the job belongs to a process, or until which it did.')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'db_table': 'bulk_job',
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='BulkItem',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField(help_text='The place of the item in its job, from 0.')),
                ('order_id', models.UUIDField()),
                ('order_number', models.CharField(max_length=20)),
                ('steps', models.JSONField(help_text='The type and the payload of each command, in order.')),
                ('outcome', models.CharField(blank=True, choices=[('', 'Unchecked'), ('ready', 'Ready'), ('done', 'Done'), ('unchanged', 'Unchanged'), ('refused', 'Refused'), ('failed', 'Failed')], max_length=10)),
                ('reason', models.TextField(blank=True, help_text='Why a command was refused, or failed.')),
                ('tries', models.PositiveSmallIntegerField(default=0, help_text='How often the item was begun.')),
                ('job', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='items', to='ordering_write.bulkjob')),
            ],
            options={
                'db_table': 'bulk_item',
                'ordering': ['number'],
                'default_permissions': (),
            },
        ),
        migrations.AddIndex(
            model_name='bulkjob',
            index=models.Index(fields=['user', '-created_at'], name='bulk_job_of_user'),
        ),
        migrations.AddIndex(
            model_name='bulkjob',
            index=models.Index(condition=models.Q(('finished_at', None)), fields=['created_at'], name='bulk_job_unfinished'),
        ),
        migrations.AddConstraint(
            model_name='bulkitem',
            constraint=models.UniqueConstraint(fields=('job', 'number'), name='bulk_item_number_unique'),
        ),
    ]
