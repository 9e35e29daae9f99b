"""All tables of the write side at once: a new database skips the migrations that it replaces.

The SQL of the replaced migrations stays in their files.
"""

from importlib import import_module

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
import django.db.models.functions.text
import ordering_write.domain.events.states
import uuid_utils.compat
from decimal import Decimal
from django.db import migrations, models

from config.databases.defaults import set_defaults
from ordering_write.migrations._defaults import BY_MIGRATION

append_only = import_module("ordering_write.migrations.0002_append_only")
log_identity = import_module("ordering_write.migrations.0003_log_identity")
pending_events = import_module("ordering_write.migrations.0017_pending_events")


class Migration(migrations.Migration):

    replaces = [
        ("ordering_write", "0001_initial"),
        ("ordering_write", "0002_append_only"),
        ("ordering_write", "0003_log_identity"),
        ("ordering_write", "0004_command_tally"),
        ("ordering_write", "0005_order_ledgers"),
        ("ordering_write", "0006_command_answers"),
        ("ordering_write", "0007_customers_erased"),
        ("ordering_write", "0008_sequence_log"),
        ("ordering_write", "0009_policies"),
        ("ordering_write", "0010_skipped_timers"),
        ("ordering_write", "0011_sequence_log_by_index"),
        ("ordering_write", "0012_subscriptions"),
        ("ordering_write", "0013_labels"),
        ("ordering_write", "0014_names"),
        ("ordering_write", "0015_help_texts"),
        ("ordering_write", "0016_plain_help_texts"),
        ("ordering_write", "0017_pending_events"),
        ("ordering_write", "0018_fill_state_columns"),
        ("ordering_write", "0019_defaults"),
        ("ordering_write", "0020_identifier"),
        ("ordering_write", "0021_fill_identifiers"),
        ("ordering_write", "0022_prices"),
        ("ordering_write", "0023_backorders"),
        ("ordering_write", "0023_line_taxes"),
        ("ordering_write", "0024_fill_backorders"),
        ("ordering_write", "0025_payment_facts"),
        ("ordering_write", "0026_metadata"),
        ("ordering_write", "0027_tax_classes"),
        ("ordering_write", "0028_exchanges"),
        ("ordering_write", "0029_expected_stock"),
        ("ordering_write", "0030_captures"),
        ("ordering_write", "0031_selling"),
        ("ordering_write", "0032_hand_over"),
        ("ordering_write", "0033_attention_resolved"),
    ]

    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name='CommandRecord',
            fields=[
                ('command_id', models.UUIDField(primary_key=True, serialize=False)),
                ('type', models.CharField(max_length=60)),
                ('fingerprint', models.CharField(help_text='SHA-256 of type and payload; equal for a repeat.', max_length=64)),
                ('user_id', models.UUIDField()),
                ('actor', models.JSONField()),
                ('channel', models.CharField(max_length=10)),
                ('recorded_at', models.DateTimeField(db_index=True)),
                ('stored_response', models.TextField(blank=True, db_column='answer', help_text='The response to the client, for a repeat with the same key.')),
            ],
            options={
                'db_table': 'command_record',
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='EventPending',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('commit_id', models.UUIDField()),
                ('events', models.PositiveIntegerField(help_text='The number of events of the commit.', null=True)),
            ],
            options={
                'db_table': 'event_pending',
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='PersonalData',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('customer_id', models.UUIDField(db_index=True)),
                ('fields', models.JSONField()),
                ('salt', models.CharField(help_text='Keeps the digest in the log from being guessed.', max_length=32)),
            ],
            options={
                'verbose_name_plural': 'personal data',
                'db_table': 'personal_data',
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='PolicyCheckpoint',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.BigIntegerField(default=0, help_text='The last position that was applied.')),
                ('event_id', models.UUIDField(blank=True, help_text='The event at that position.', null=True)),
                ('log_id', models.UUIDField(blank=True, help_text='The log that was read.', null=True)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('leased_until', models.DateTimeField(blank=True, help_text='The time until which the checkpoint belongs to one runner.', null=True)),
                ('error', models.TextField(blank=True, help_text='Why the subscriber has failed; empty otherwise.')),
                ('failed_at', models.DateTimeField(blank=True, help_text='When the subscriber began to fail.', null=True)),
                ('batches', models.BigIntegerField(default=0, help_text='The number of applied batches.')),
                ('batch_seconds', models.FloatField(default=0, help_text='The time that all batches took together, in seconds.')),
                ('last_batch_seconds', models.FloatField(default=0)),
                ('parked_streams', models.PositiveIntegerField(default=0, help_text="The number of streams with an event that can't be applied.")),
                ('name', models.CharField(max_length=20, unique=True)),
                ('crash_suspicion', models.PositiveSmallIntegerField(choices=[(0, 'no runner was lost'), (1, 'a runner that had leased the checkpoint was lost'), (2, 'a runner has counted its start since then'), (3, 'that runner was lost too')], db_column='start', default=0)),
                ('isolate_until', models.BigIntegerField(db_column='alone_until', default=0, help_text='Events up to this position are applied one by one, since runners were killed.')),
                ('late_at', models.DateTimeField(blank=True, help_text='Since when the subscriber is late; empty otherwise.', null=True)),
            ],
            options={
                'db_table': 'policy_checkpoint',
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='CommandMetric',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('type', models.CharField(max_length=60)),
                ('outcome', models.CharField(max_length=10)),
                ('reason', models.CharField(blank=True, help_text='The name of the error, if any.', max_length=60)),
                ('count', models.BigIntegerField()),
                ('seconds', models.FloatField()),
            ],
            options={
                'db_table': 'command_tally',
                'ordering': ['type', 'outcome', 'reason'],
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('type', 'outcome', 'reason'), name='command_tally_unique')],
            },
        ),
        migrations.CreateModel(
            name='Customer',
            fields=[
                ('version', models.PositiveIntegerField(default=0, help_text='The number of events in the stream.')),
                ('customer_id', models.UUIDField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=200)),
                ('email', models.CharField(max_length=254)),
                ('phone', models.CharField(blank=True, max_length=40)),
                ('status', models.CharField(choices=[('active', 'Active'), ('blocked', 'Blocked'), ('erased', 'Erased')], default='active', max_length=20)),
                ('metadata', models.JSONField(blank=True, db_default=models.Value({}, models.JSONField()), default=dict)),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(django.db.models.functions.text.Lower('email'), condition=models.Q(('status', 'erased'), _negated=True), name='customer_email_unique')],
            },
        ),
        migrations.CreateModel(
            name='Identifier',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('email', 'Email'), ('sku', 'Sku'), ('reference', 'Reference')], max_length=20)),
                ('scope', models.CharField(blank=True, help_text='The source of an external reference.', max_length=64)),
                ('digest', models.CharField(help_text='SHA-256 of the identifier in the form in which it is compared.', max_length=64)),
                ('owner_id', models.UUIDField(help_text='The id of the customer, the product or the order.')),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('kind', 'scope', 'digest'), name='identifier_unique'), models.UniqueConstraint(fields=('kind', 'owner_id'), name='identifier_of_owner')],
            },
        ),
        migrations.CreateModel(
            name='Order',
            fields=[
                ('version', models.PositiveIntegerField(default=0, help_text='The number of events in the stream.')),
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('order_number', models.CharField(max_length=20, unique=True)),
                ('customer_id', models.UUIDField(db_index=True)),
                ('status', models.CharField(choices=[('pending', 'pending'), ('confirmed', 'confirmed'), ('processing', 'processing'), ('partially_shipped', 'partially_shipped'), ('shipped', 'shipped'), ('delivered', 'delivered'), ('completed', 'completed'), ('cancelled', 'cancelled')], default=ordering_write.domain.events.states.OrderStatus['PENDING'], max_length=20)),
                ('currency', models.CharField(max_length=3)),
                ('total', models.DecimalField(decimal_places=4, default=Decimal('0'), max_digits=19)),
                ('source', models.CharField(max_length=64)),
                ('external_reference', models.CharField(blank=True, max_length=100, null=True)),
                ('tags', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=40), blank=True, default=list, size=None)),
                ('placed_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('confirmed_at', models.DateTimeField(blank=True, null=True)),
                ('processing_at', models.DateTimeField(blank=True, null=True)),
                ('completed_at', models.DateTimeField(blank=True, null=True)),
                ('assignee', models.CharField(blank=True, max_length=150)),
                ('captured', models.DecimalField(decimal_places=4, default=Decimal('0'), max_digits=19)),
                ('delivered_at', models.DateTimeField(blank=True, help_text='The last delivery.', null=True)),
                ('hold_reason', models.CharField(blank=True, max_length=20)),
                ('notes', models.JSONField(blank=True, default=dict, help_text='{note_id: false once redacted}')),
                ('payments', models.JSONField(blank=True, default=dict, help_text='{payment_id: {kind: sum, facts: […]}}')),
                ('refunded', models.DecimalField(decimal_places=4, default=Decimal('0'), max_digits=19)),
                ('refunds', models.JSONField(blank=True, default=dict, help_text='{refund_id: {amount, status, reference, at, failed: […]}}')),
                ('returns', models.JSONField(blank=True, default=dict, help_text='{return_id: {line_id: units still expected}}')),
                ('adjustments', models.JSONField(blank=True, help_text="Amounts beside the lines. Null in rows of releases that didn't keep them.", null=True)),
                ('charges', models.JSONField(blank=True, help_text='The prices of the charges. Null until an event says them.', null=True)),
                ('metadata', models.JSONField(blank=True, db_default=models.Value({}, models.JSONField()), default=dict)),
                ('po_number', models.CharField(blank=True, db_default='', default='', help_text="The number of the customer's purchase order.", max_length=100)),
                ('exchanges', models.JSONField(blank=True, db_default=models.Value({}, models.JSONField()), default=dict, help_text="{return_id: {received, credit}} of the exchanges that aren't placed yet")),
                ('free_units', models.JSONField(blank=True, db_default=models.Value({}, models.JSONField()), default=dict, help_text='{product_id: units} of free replacements that have made no lost units good')),
                ('transferred_payments', models.JSONField(blank=True, db_default=models.Value([], models.JSONField()), default=list, help_text='Ids of payments of other orders whose credit was transferred to this order.')),
                ('captures', models.JSONField(blank=True, db_default=models.Value({}, models.JSONField()), default=dict, help_text='{capture_id: {payment_id, amount, status, at}}, those requested or failed.')),
                ('attention_resolved', models.JSONField(blank=True, db_default=models.Value({}, models.JSONField()), default=dict, help_text='{reason: its amount when a person resolved it}')),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('source', 'external_reference'), name='order_reference_unique')],
            },
        ),
        migrations.CreateModel(
            name='OutboxEvent',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('event_id', models.UUIDField(unique=True)),
                ('stream', models.CharField(max_length=60)),
                ('version', models.PositiveIntegerField()),
                ('type', models.CharField(max_length=60)),
                ('schema_version', models.PositiveSmallIntegerField()),
                ('timestamp', models.DateTimeField(help_text='When the event happened.')),
                ('recorded_at', models.DateTimeField(help_text='When the event was recorded.')),
                ('actor', models.JSONField()),
                ('channel', models.CharField(max_length=10)),
                ('command_id', models.UUIDField(db_index=True)),
                ('correlation_id', models.UUIDField()),
                ('causation_id', models.UUIDField()),
                ('commit_id', models.UUIDField(db_index=True, help_text='Shared by all events of a transaction.')),
                ('data', models.JSONField()),
                ('personal_id', models.UUIDField(blank=True, help_text='The row with the personal fields of the event.', null=True)),
                ('personal_digest', models.CharField(blank=True, max_length=64)),
                ('hash', models.CharField(help_text="SHA-256 of the event's content and of the hash of the event before.", max_length=64)),
            ],
            options={
                'verbose_name': 'event',
                'verbose_name_plural': 'Outbox (event log)',
                'db_table': 'event',
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('stream', 'version'), name='event_stream_version_unique')],
            },
        ),
        migrations.CreateModel(
            name='EventPosition',
            fields=[
                ('position', models.BigIntegerField(primary_key=True, serialize=False)),
                ('event', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='event_position', to='ordering_write.outboxevent')),
            ],
            options={
                'db_table': 'event_position',
                'ordering': [models.OrderBy(models.F('position'))],
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Shipment',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('status', models.CharField(choices=[('packed', 'Packed'), ('dispatched', 'Dispatched'), ('delivered', 'Delivered'), ('failed', 'Failed'), ('voided', 'Voided')], max_length=20)),
                ('items', models.JSONField(help_text='[{line_id, quantity}]')),
                ('carrier', models.CharField(blank=True, max_length=200)),
                ('tracking_number', models.CharField(blank=True, max_length=100)),
                ('tracking_url', models.CharField(blank=True, max_length=500)),
                ('order', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ordering_write.order')),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='StockItem',
            fields=[
                ('version', models.PositiveIntegerField(default=0, help_text='The number of events in the stream.')),
                ('product_id', models.UUIDField(primary_key=True, serialize=False)),
                ('sku', models.CharField(max_length=64, unique=True, verbose_name='SKU')),
                ('name', models.CharField(max_length=200)),
                ('on_hand', models.BigIntegerField(default=0)),
                ('reserved', models.PositiveBigIntegerField(default=0)),
                ('list_price', models.DecimalField(blank=True, decimal_places=4, max_digits=19, null=True)),
                ('currency', models.CharField(blank=True, max_length=3)),
                ('reorder_point', models.PositiveIntegerField(default=0)),
                ('backorderable', models.BooleanField(default=False)),
                ('backordered', models.PositiveBigIntegerField(db_default=0, default=0, help_text='Reserved units that no stock backs yet.')),
                ('tax_class', models.CharField(blank=True, db_default='', default='', max_length=40)),
                ('expected', models.JSONField(blank=True, db_default=models.Value([], models.JSONField()), default=list, help_text='[{at, quantity}], the earliest first.')),
                ('discontinued_at', models.DateTimeField(blank=True, null=True)),
                ('other_prices', models.JSONField(blank=True, db_default=models.Value({}, models.JSONField()), default=dict, help_text='{currency: list price}, besides the first currency.')),
                ('requires_shipping', models.BooleanField(db_default=True, default=True)),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.CheckConstraint(condition=models.Q(('backorderable', True), ('on_hand__gte', models.F('reserved')), _connector='OR'), name='stock_item_never_oversold')],
            },
        ),
        migrations.CreateModel(
            name='Timer',
            fields=[
                ('id', models.UUIDField(help_text='Derived from event and policy: one timer for both.', primary_key=True, serialize=False)),
                ('policy', models.CharField(max_length=40)),
                ('stream', models.CharField(max_length=60)),
                ('event_id', models.UUIDField()),
                ('position', models.BigIntegerField(help_text='The position of the event in the log.')),
                ('due_at', models.DateTimeField()),
                ('leased_until', models.DateTimeField(blank=True, help_text='The time until which the timer belongs to a worker or pauses.', null=True)),
                ('tries', models.PositiveSmallIntegerField(default=0, help_text='The number of failed tries.')),
                ('error', models.TextField(blank=True, help_text='Why the last try failed.')),
                ('parked_at', models.DateTimeField(blank=True, help_text='When the timer was parked; empty while the timer is tried.', null=True)),
                ('skip_reason', models.CharField(blank=True, db_default='', default='', max_length=500)),
                ('skipped_at', models.DateTimeField(blank=True, help_text='When an operator skipped the timer for good.', null=True)),
                ('skipped_by', models.CharField(blank=True, db_default='', default='', max_length=200)),
            ],
            options={
                'db_table': 'policy_timer',
                'ordering': ['due_at', 'position'],
                'default_permissions': (),
                'indexes': [models.Index(condition=models.Q(('parked_at', None)), fields=['due_at'], name='policy_timer_due_index')],
            },
        ),
        migrations.CreateModel(
            name='OrderItem',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('number', models.PositiveSmallIntegerField()),
                ('product_id', models.UUIDField()),
                ('sku', models.CharField(max_length=64)),
                ('name', models.CharField(max_length=200)),
                ('unit_price', models.DecimalField(decimal_places=4, max_digits=19)),
                ('line_total', models.DecimalField(decimal_places=4, help_text='The price of the units that are owed, without added taxes.', max_digits=19)),
                ('ordered', models.PositiveIntegerField()),
                ('cancelled', models.PositiveIntegerField(default=0)),
                ('packed', models.PositiveIntegerField(default=0)),
                ('shipped', models.PositiveIntegerField(default=0)),
                ('delivered', models.PositiveIntegerField(default=0)),
                ('failed', models.PositiveIntegerField(default=0)),
                ('return_requested', models.PositiveIntegerField(default=0)),
                ('returned', models.PositiveIntegerField(default=0)),
                ('price', models.JSONField(blank=True, help_text='The price of the ordered units, with shares of adjustments. Null until an event says it.', null=True)),
                ('tax_class', models.CharField(blank=True, db_default='', default='', max_length=40)),
                ('taxes', models.JSONField(blank=True, help_text='The taxes that the client gave for the line, if any.', null=True)),
                ('metadata', models.JSONField(blank=True, db_default=models.Value({}, models.JSONField()), default=dict)),
                ('made_good', models.PositiveIntegerField(db_default=0, default=0, help_text='Lost units that were replaced for nothing.')),
                ('requires_shipping', models.BooleanField(db_default=True, default=True)),
                ('order', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ordering_write.order')),
            ],
            options={
                'ordering': ['order_id', 'number'],
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('order', 'number'), name='order_item_number_unique'), models.CheckConstraint(condition=models.Q(('ordered__gte', django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('cancelled'), '+', models.F('packed')), '+', models.F('shipped')))), name='order_item_units_accounted_for'), models.CheckConstraint(condition=models.Q(('shipped__gte', django.db.models.expressions.CombinedExpression(models.F('delivered'), '+', models.F('failed')))), name='order_item_arrivals_were_shipped'), models.CheckConstraint(condition=models.Q(('delivered__gte', django.db.models.expressions.CombinedExpression(models.F('return_requested'), '+', models.F('returned')))), name='order_item_returns_were_delivered')],
            },
        ),
        migrations.CreateModel(
            name='PolicyParkedEvent',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('event_id', models.UUIDField(db_index=True)),
                ('stream', models.CharField(max_length=60)),
                ('version', models.PositiveIntegerField()),
                ('position', models.BigIntegerField()),
                ('type', models.CharField(max_length=60)),
                ('category', models.CharField(choices=[('unknown-type', 'its type is unknown'), ('undecodable', "it can't be read"), ('projection-error', 'applying it failed'), ('crash', 'applying it killed the process'), ('waiting', 'an earlier event of its stream')], help_text='The reason why the event is parked.', max_length=20)),
                ('message', models.TextField(blank=True)),
                ('traceback', models.TextField(blank=True)),
                ('parked_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('tries', models.PositiveIntegerField(default=0, help_text='The number of tries.')),
                ('tried_at', models.DateTimeField(blank=True, help_text='The time of the last try.', null=True)),
                ('skipped_at', models.DateTimeField(blank=True, null=True)),
                ('skipped_by', models.CharField(blank=True, max_length=200)),
                ('skip_reason', models.CharField(blank=True, max_length=500)),
                ('checkpoint', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='parked_events', to='ordering_write.policycheckpoint')),
            ],
            options={
                'db_table': 'policy_parked_event',
                'ordering': ['id'],
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('checkpoint', 'event_id'), name='policy_parked_event_once')],
            },
        ),
        migrations.CreateModel(
            name='Reservation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('order_id', models.UUIDField()),
                ('line_id', models.UUIDField(db_index=True)),
                ('quantity', models.PositiveIntegerField()),
                ('backordered', models.PositiveIntegerField(db_default=0, default=0, help_text='Units that no stock backs yet.')),
                ('product', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ordering_write.stockitem')),
            ],
            options={
                'default_permissions': (),
                'indexes': [models.Index(condition=models.Q(('backordered__gt', 0)), fields=['product', 'line_id'], name='reservation_backordered')],
                'constraints': [models.UniqueConstraint(fields=('order_id', 'line_id'), name='reservation_line_unique')],
            },
        ),
        *append_only.Migration.operations,
        *log_identity.Migration.operations,
        migrations.RunSQL(
            pending_events.MAKE,
            "DROP FUNCTION sequence_log(bigint, int); DROP FUNCTION pending_events(int);"
            "DROP FUNCTION oldest_pending_at(); DROP SEQUENCE event_pending_sequenced",
        ),
        *(operation for tables in BY_MIGRATION.values() for operation in set_defaults(tables)),
    ]
