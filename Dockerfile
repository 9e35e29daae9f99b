# The image of the web server, the workers and manage.py: docs/deployment.md#in-containers.
FROM python:3.11.15-slim-bookworm AS packages
WORKDIR /srv/orders/current
RUN python3 -m venv .venv
COPY requirements-production.txt requirements-telemetry.txt requirements-relay.txt requirements-archive.txt ./
RUN .venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
    -r requirements-production.txt -r requirements-telemetry.txt \
    -r requirements-relay.txt -r requirements-archive.txt

FROM python:3.11.15-slim-bookworm
RUN useradd --system --user-group --no-create-home --uid 10001 orders
WORKDIR /srv/orders/current
ENV PYTHONUNBUFFERED=1
COPY --from=packages /srv/orders/current/.venv .venv
COPY . .
# Nobody can write beside the code later, and each process would compile it anew.
RUN .venv/bin/python -m compileall -q config ordering_read ordering_write
# What the service keeps is in its databases.
USER 10001
EXPOSE 8000
# As the front asks; compose.yaml asks nothing of the workers, which answer no requests.
HEALTHCHECK --interval=10s --timeout=10s --start-period=120s --retries=3 \
    CMD [".venv/bin/python", "deploy/healthcheck.py"]
CMD [".venv/bin/python", "-m", "gunicorn", "-c", "python:config.gunicorn", "config.wsgi"]
