"""Reads what Django keeps for the life of a process, before the first page asks for it."""

from contextlib import suppress

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import Error, connections
from django.urls import reverse


def load_pages() -> None:
    """Load the modules of all pages, which otherwise the first request does."""
    reverse("healthz")


def read_content_types() -> None:
    """Read the content types of all models, in one statement.

    Does nothing while the database can't be reached: the first page that needs one reads it.
    """
    with suppress(Error):
        ContentType.objects.get_for_models(*apps.get_models(), for_concrete_models=False)
    connections.close_all()
