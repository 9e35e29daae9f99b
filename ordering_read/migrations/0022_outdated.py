from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ordering_read', '0021_plain_help_texts'),
    ]

    operations = [
        migrations.AddField(
            model_name='projection',
            name='outdated_at',
            field=models.DateTimeField(blank=True, help_text='The time of the report that the rows are outdated.', null=True),
        ),
    ]
