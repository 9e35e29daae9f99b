"""The settings of gunicorn for tests, whose web servers live too briefly to prepare anything.

One process, because loading the application takes seconds of processor time. It makes the OpenAPI
document, which takes another second or two, only when a request asks for it.
"""

from config import gunicorn
from config.gunicorn import *  # noqa: F403

workers = 1
gunicorn._DOCUMENT_AFTER_SECONDS = 1_000_000.0
