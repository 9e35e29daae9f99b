"""The web server's worker: gunicorn supervises it, and waitress talks to its clients."""
