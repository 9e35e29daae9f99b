"""The WSGI application that gunicorn and runserver serve."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from config.databases import sessions
from config.http.input.normaliser import RequestNormaliser

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = RequestNormaliser(get_wsgi_application())
if not settings.EMBEDDED:
    sessions.check()
