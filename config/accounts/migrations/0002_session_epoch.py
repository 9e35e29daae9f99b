"""Users get the epoch of their sessions, and tokens without an end get one."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import migrations, models
from django.utils import timezone


def limit_tokens(apps: Any, editor: Any) -> None:
    """Let the tokens of an older release, which never expire, live as long as a new token."""
    if settings.TOKEN_DAYS:
        tokens = apps.get_model("knox", "AuthToken").objects.using(editor.connection.alias)
        ends_at = timezone.now() + timedelta(days=settings.TOKEN_DAYS)
        tokens.filter(expiry=None).update(expiry=ends_at)


class Migration(migrations.Migration):

    dependencies = [
        ("accounts", "0001_initial"),
        ("knox", "0009_extend_authtoken_field"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="session_epoch",
            field=models.IntegerField(
                db_default=0,
                default=0,
                editable=False,
                help_text="The number of times that all sessions of the user were ended.",
            ),
        ),
        migrations.RunPython(limit_tokens, migrations.RunPython.noop, elidable=True),
    ]
