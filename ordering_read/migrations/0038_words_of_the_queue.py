"""Names the rows of the fulfilment queue as people do."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('ordering_read', '0001_squashed_0037'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='queuedorder',
            options={'default_permissions': (), 'verbose_name': 'order to pack and dispatch', 'verbose_name_plural': 'orders to pack and dispatch'},
        ),
    ]
