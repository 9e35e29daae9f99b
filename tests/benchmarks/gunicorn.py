"""The settings of gunicorn for benchmarks: those of the service, whose OpenAPI document, a second
of processor time, is made only when a request asks for it.
"""

from config.gunicorn import workers as workers_of_service
from tests.acceptance.gunicorn import *  # noqa: F403

workers = workers_of_service
