"""Every setting of the project, each with a default and a sentence; importing it starts nothing.

Without DATABASE_URL this is a development machine: an embedded PostgreSQL keeps its data and the
generated SECRET_KEY in DATA_DIR. With DATABASE_URL it is production: SECRET_KEY is required and
HTTPS is assumed.
"""

import os
from datetime import timedelta
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from config import environment as env
from config import library_settings, logs, shop_apps, tax_rates
from config.databases import configuration, keys
from config.databases.configuration import Urls
from config.databases.embedded import EmbeddedServer
from config.http.openapi import openapi_settings

BASE_DIR = Path(__file__).resolve().parent.parent

# --- Environment -------------------------------------------------------------------------------
# Folder of the embedded server's data, its port and the generated secrets.
DATA_DIR = Path(os.environ.get("DATA_DIR") or BASE_DIR / "var").resolve()
# True without DATABASE_URL: the embedded server runs.
EMBEDDED = not os.environ.get("DATABASE_URL")
# Tracebacks in responses; never on a machine that strangers can reach.
DEBUG = env.flag("DEBUG", False)
# Demo data and demo logins.
DEMO = env.flag("DEMO", EMBEDDED)
# Browsers use TLS: secure cookies, redirect to https, HSTS.
HTTPS = env.flag("HTTPS", not (EMBEDDED or DEBUG))
# Address and port of the web server that `make run` starts.
HOST = os.environ.get("HOST") or "127.0.0.1"
PORT = env.number("PORT", 8000)
# The address by which browsers reach the service, for links in mails and for the OpenAPI document.
PUBLIC_URL = (os.environ.get("PUBLIC_URL") or (f"http://{HOST}:{PORT}" if DEMO else "")).rstrip("/")
# Threads of each web server process. At most half of them may wait for a projection.
WEB_THREADS = env.number("WEB_THREADS", 8)
# Connections of each web server process, altogether and from one address (an IPv6 network /64),
# unless TRUSTED_PROXIES. When there are more, the one that waits longest for its client is closed.
WEB_CONNECTIONS = env.number("WEB_CONNECTIONS", 1_000)
WEB_CONNECTIONS_PER_ADDRESS = env.number("WEB_CONNECTIONS_PER_ADDRESS", 200)
# Seconds in which the headers of a request must arrive, from the first byte on, and then its body.
WEB_HEAD_SECONDS = env.number("WEB_HEAD_SECONDS", 10)
WEB_BODY_SECONDS = env.number("WEB_BODY_SECONDS", 30)
# Seconds for which a stopping process isn't ready but listens, and in which its requests finish.
WEB_DRAIN_SECONDS = env.number("WEB_DRAIN_SECONDS", 0 if EMBEDDED else 5)
WEB_FINISH_SECONDS = env.number("WEB_FINISH_SECONDS", 4 if EMBEDDED else 30)

# --- Secrets and hosts -------------------------------------------------------------------------
SECRET_KEY = os.environ.get("SECRET_KEY") or (keys.generated(DATA_DIR) if EMBEDDED else "")
if not SECRET_KEY:
    raise ImproperlyConfigured("SECRET_KEY is required with DATABASE_URL; unset it for a try.")
# Former keys that still verify sessions during a rotation, comma separated.
SECRET_KEY_FALLBACKS = env.texts("SECRET_KEY_FALLBACKS")
# Host names that the service answers to, comma separated.
ALLOWED_HOSTS = env.texts("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.texts("CSRF_TRUSTED_ORIGINS")
if not EMBEDDED:
    env.check_secrets("SECRET_KEY", [SECRET_KEY])
    env.check_secrets("SECRET_KEY_FALLBACKS", SECRET_KEY_FALLBACKS)
    env.check_hosts("ALLOWED_HOSTS", ALLOWED_HOSTS)
    env.warn_of("DEBUG", DEBUG, "every error shows code and settings to the client.")
    env.warn_of("DEMO", DEMO, "everybody can log in by the demo's public password.")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
# With this prefix, browsers take a cookie from this host by HTTPS only.
COOKIE_PREFIX = "__Host-" if HTTPS else ""
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = f"{COOKIE_PREFIX}sessionid", f"{COOKIE_PREFIX}csrftoken"
# Internal probes use plain HTTP.
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
# Only behind a proxy that terminates TLS and sets this header itself: a client could forge it.
if env.flag("TRUST_X_FORWARDED_PROTO", False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_HTTPONLY, X_FRAME_OPTIONS = True, "DENY"

# --- Applications ------------------------------------------------------------------------------
# Packages with a shop's own code, comma separated: docs/how-to/extend-from-your-own-app.md.
SHOP_APPS = env.texts("SHOP_APPS")
INSTALLED_APPS = [
    # config comes first: its `migrate` replaces Django's.
    "config",
    "config.accounts",
    "config.exports",
    "config.http",
    "config.accounts.admin_site.StaffSiteConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
    "ordering_write",
    "ordering_read",
    *shop_apps.installed(SHOP_APPS),
    "config.workers",
]
MIDDLEWARE = [
    "config.http.middleware.RequestIdMiddleware",
    "config.http.headers.HeadersMiddleware",
    "config.http.middleware.CompressionMiddleware",
    "config.http.middleware.HttpsMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.http.middleware.CostMiddleware",  # before WhiteNoise: static files count too
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.http.browser_middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "config.http.browser_middleware.CsrfViewMiddleware",
    "config.accounts.backends.AuthenticationMiddleware",
    "config.http.browser_middleware.MessageMiddleware",
    "config.http.middleware.ThrottleMiddleware",
    "config.http.middleware.ProblemMiddleware",
    "config.http.middleware.ConsistencyMiddleware",
]
# The checks look by name for the middlewares that HttpsMiddleware and ours for CSRF inherit from.
SILENCED_SYSTEM_CHECKS = ["security.W001", "security.W003"]
ROOT_URLCONF, WSGI_APPLICATION = "config.urls", "config.wsgi.application"
# A trailing slash is accepted by the routes themselves; nobody is redirected.
APPEND_SLASH = True
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "ordering_read.admin.banner.warnings",
                "ordering_read.admin.first_steps.first_steps",
            ]
        },
    }
]

# --- Databases ---------------------------------------------------------------------------------
# "default" holds the write side, accounts and the queue; "read" holds the read models.
if EMBEDDED:
    _server = EmbeddedServer(DATA_DIR)
    _urls = Urls(write=_server.url("orders_write"), read=_server.url("orders_read"))
    _direct_urls = Urls()
else:
    _urls = Urls(
        write=os.environ["DATABASE_URL"],
        read=os.environ.get("READ_DATABASE_URL") or "",
        # A standby of the read database, from which the web servers read.
        replica=os.environ.get("READ_REPLICA_URL") or "",
    )
    # URLs that lead past a pooler, for the workers and all commands of manage.py.
    _direct_urls = Urls(
        write=os.environ.get("DATABASE_DIRECT_URL") or "",
        read=os.environ.get("READ_DATABASE_DIRECT_URL") or "",
    )
# "transaction" if DATABASE_URL leads to a pooler that lends a session for one transaction only.
DATABASE_POOLER = os.environ.get("DATABASE_POOLER") or ""
# The schema of the read models if both sides share one database, else "".
READ_SCHEMA = "" if _urls.read else "ordering_read"
DATABASES = configuration.databases(
    _urls,
    _direct_urls,
    pooler=DATABASE_POOLER,
    directly=env.is_command,
    read_schema=READ_SCHEMA,
)
# The role whose sessions the pooler lends, by the alias of the database.
POOLED_ROLES = configuration.roles(_urls)
MIDDLEWARE[:0] = configuration.middleware(_urls, directly=env.is_command)
DATABASE_ROUTERS = ["config.databases.router.WriteReadRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# The folder or object storage of the log's archive: docs/archive.md. Empty: there is none.
ARCHIVE_URL = os.environ.get("ARCHIVE_URL") or ""

# --- The queue: an alarm clock for the subscriptions -------------------------------------------
# The name of this read site, which has a read database, workers and a queue of its own.
READ_SITE = env.word("READ_SITE", "")
# Seconds between two polls of an idle broker. A lost wake-up delays events by less than 1 s.
PROJECTION_POLL_SECONDS = 0.8
# Events in one batch of a projection, one transaction each.
PROJECTION_BATCH = env.number("PROJECTION_BATCH", 500)
# Slices into which each projection of rows of single streams is cut, for several workers.
PROJECTION_SLICES = int(env.choice("PROJECTION_SLICES", "1", "2", "4", "8", "16"))
# Seconds after which a projection hangs and its worker is ended. A lock is waited for 5 s at most.
PROJECTION_TIMEOUT_SECONDS = env.number("PROJECTION_TIMEOUT_SECONDS", 30)
# The workers rebuild, one after the other, the projections whose rows an older release has made.
AUTO_REBUILD_OUTDATED = env.flag("AUTO_REBUILD_OUTDATED", EMBEDDED)
# Days for which the rows before a rebuild are kept, and kept up to date.
PROJECTION_KEEP_RETIRED_DAYS = env.number("PROJECTION_KEEP_RETIRED_DAYS", 7, most=env.MOST_DAYS)
# Streams that a projection may park. If more streams fail, the code is wrong: the projection stops.
PROJECTION_MAX_PARKED_STREAMS = env.number("PROJECTION_MAX_PARKED_STREAMS", 1_000)
# Seconds of lag from which a subscriber is late: mailed, its rows marked, /readyz failing.
PROJECTION_LAG_ALERT_SECONDS = env.number("PROJECTION_LAG_ALERT_SECONDS", 30)
_OUR_BROKER = "config.workers.broker.ProjectionBroker"
# The ORM broker, QUEUE_BROKER=django_q.brokers.orm.ORM, works too, but is slower.
_BROKER = os.environ.get("QUEUE_BROKER") or _OUR_BROKER
# Seconds after the last heartbeat from which workers count as gone. Our broker has a heartbeat
# every other second; under the ORM broker, a task that is scheduled each minute has one.
WORKER_SILENCE_SECONDS = 15 if _BROKER == _OUR_BROKER else 150
Q_CLUSTER = library_settings.q_cluster(
    name=f"orders-{READ_SITE}" if READ_SITE else "orders",
    broker=_BROKER,
    workers=env.number("WORKERS", 2),
    poll=PROJECTION_POLL_SECONDS,
)
# The stream that carries the log to other machines, and where projections read the log from;
# none by default, and the write database: docs/relay.md.
RELAY, LOG_SOURCE, STREAM = env.stream()
# Where such projections find personal fields: in the write database, or in a copy at the site.
PERSONAL_DATA = env.choice("PERSONAL_DATA", "primary", "site")
# The tasks that the read side enqueues, by dotted path: it can't import the workers.
WORKER_TASKS = "config.workers.tasks"
# Functions of the read side that the write side calls, by dotted path: it can't import them.
READ_SIDE_WAIT = "ordering_read.engine.waiting.wait"
READ_SIDE_CHECKPOINTS = "ordering_read.engine.status.checkpoints"

# --- The shop ----------------------------------------------------------------------------------
# The time zone that decides on which day an event is booked.
STORE_TIME_ZONE = os.environ.get("STORE_TIME_ZONE") or "Europe/Madrid"
# The currency of an order without one, ISO 4217.
DEFAULT_CURRENCY = os.environ.get("DEFAULT_CURRENCY") or "EUR"
# Prices contain the taxes; otherwise taxes are added. A tax in a command can say it differently.
PRICES_INCLUDE_TAX = env.flag("PRICES_INCLUDE_TAX", DEMO)
# The file of the rates for TAX_PORT=ordering_write.ports.fixed_rates.FixedRates: docs/taxes.md.
_DEMO_RATES = "ordering_write/management/demo_tax_rates.csv" if DEMO else ""
_RATES_FILE = os.environ.get("TAX_RATES_FILE") or _DEMO_RATES
TAX_RATES = tax_rates.read(BASE_DIR / _RATES_FILE) if _RATES_FILE else ()
# The country, ISO 3166, whose rates are for orders without a shipping address.
STORE_COUNTRY = os.environ.get("STORE_COUNTRY") or "ES"
# The adapters of the ports by dotted path: see ordering_write/ports.
PORTS = {
    "carrier": os.environ.get("CARRIER_PORT") or "ordering_write.ports.carrier.ManualCarrier",
    "catalog": os.environ.get("CATALOG_PORT") or "ordering_write.ports.catalog.StockCatalog",
    "identity": os.environ.get("IDENTITY_PORT") or "ordering_write.ports.identity.DjangoIdentity",
    "notifier": os.environ.get("NOTIFIER_PORT") or "ordering_write.ports.notifier.LogNotifier",
    "payment": os.environ.get("PAYMENT_PORT")
    or f"ordering_write.ports.{'sandbox_payment.Sandbox' if DEMO else 'payment.Manual'}Payments",
    "pricing": os.environ.get("PRICING_PORT") or "ordering_write.ports.pricing.ListPrice",
    "risk": os.environ.get("RISK_PORT") or "ordering_write.ports.risk.AllowAll",
    "tax": os.environ.get("TAX_PORT")
    or f"ordering_write.ports.{'fixed_rates.FixedRates' if DEMO else 'tax.NoTax'}",
}
# Hours after which an order that is neither paid nor confirmed expires, unless it has reserve_for.
RESERVE_FOR_HOURS = env.number("RESERVE_FOR_HOURS", 72, most=env.MOST_HOURS)
# The most open orders of a customer, and the most units in them that wait to be sent; 0: no limit.
MAX_OPEN_ORDERS = env.number("MAX_OPEN_ORDERS", 500)
MAX_OPEN_UNITS = env.number("MAX_OPEN_UNITS", 20_000)
# A paid order is confirmed automatically.
CONFIRM_WHEN_PAID = env.flag("CONFIRM_WHEN_PAID", False)
# Days after which a delivered order is completed automatically; 0: never.
COMPLETE_AFTER_DAYS = env.number("COMPLETE_AFTER_DAYS", 0, most=env.MOST_DAYS)
# An order must be paid or authorized before it is packed.
PAYMENT_BEFORE_PACKING = env.flag("PAYMENT_BEFORE_PACKING", False)
# The step that captures authorized payments: confirm, dispatch, or outside (gateway, people).
CAPTURE_ON = env.choice("CAPTURE_ON", "outside", "confirm", "dispatch")
# Secrets that sign payment webhooks, comma separated, ours by the first; none: all are refused.
PAYMENT_WEBHOOK_SECRETS = env.texts("PAYMENT_WEBHOOK_SECRETS", "demo" if DEMO else "")
# Credits that are refunded automatically: always, cancelled_and_returned or never.
REFUND_CREDIT = env.choice("REFUND_CREDIT", "always", "cancelled_and_returned", "never")
# Days after the last delivery in which a return can be requested; 0: for ever.
RETURN_WINDOW_DAYS = env.number("RETURN_WINDOW_DAYS", 30, most=env.MOST_DAYS)
# The most that a clerk may refund per order, by currency (EUR:200,JPY:30000); else nothing.
REFUND_LIMITS = env.amounts("REFUND_LIMITS", "EUR:200")

# --- Accounts ----------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["config.accounts.backends.Backend"]
LOGIN_URL = "/admin/login/"
# The pages of customers, and the beginnings of the addresses that log somebody in.
LOGIN_REDIRECT_URL = "/my/"
LOGIN_PAGES = (LOGIN_URL, "/my/login/")
# Seconds for which a link that is mailed to a customer works.
PASSWORD_RESET_TIMEOUT = 15 * 60
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "config.accounts.passwords.KnownWordsValidator"},
]
# Words that a password can't consist of, beside the names of its user and the roles.
# The variable has more such words, comma separated: the name of the shop and its brands.
_WORDS = ["order", "service", "shop", "store", "stock", "product", "demo", "password"]
PASSWORD_WORDS = [*_WORDS, *env.texts("PASSWORD_WORDS")]
# Days until a new API token expires; 0: never.
TOKEN_DAYS = env.number("TOKEN_DAYS", 90, most=env.MOST_DAYS)
REST_KNOX = {"TOKEN_TTL": timedelta(days=TOKEN_DAYS) if TOKEN_DAYS else None}
SESSION_ENGINE = "config.accounts.sessions"
MESSAGE_STORAGE = "config.accounts.sessions.MessageStorage"
# Minutes without a request after which a session ends.
SESSION_COOKIE_AGE = 60 * env.positive("SESSION_IDLE_MINUTES", 60, most=env.MOST_MINUTES)
# Hours after a login when its session ends in any case; 0: never.
SESSION_HOURS = env.number("SESSION_HOURS", 12, most=env.MOST_HOURS)
# Minutes after a login from which on changes of accounts ask for the password again; 0: never.
REAUTHENTICATION_MINUTES = env.number("REAUTHENTICATION_MINUTES", 15, most=env.MOST_MINUTES)

# --- HTTP --------------------------------------------------------------------------------------
# The largest body of a request, in bytes; a larger body gets a 413.
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES = 1_000_000
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1_200  # A new order has up to 200 lines of 5 fields.
# Commands that require the header Idempotency-Key, comma separated: CreateOrder, say.
IDEMPOTENCY_KEY_REQUIRED = env.texts("IDEMPOTENCY_KEY_REQUIRED")
# Days for which the response to a command is stored for repeats with the same key.
COMMAND_RECORD_DAYS = env.number("COMMAND_RECORD_DAYS", 7, most=env.MOST_DAYS)
# Days for which refused commands are kept for auditors.
COMMAND_REFUSAL_DAYS = env.number("COMMAND_REFUSAL_DAYS", 90, most=env.MOST_DAYS)
# Allow webhooks to addresses in private networks, and by plain HTTP.
WEBHOOK_PRIVATE_ADDRESSES = env.flag("WEBHOOK_PRIVATE_ADDRESSES", False)
# Days for which delivered webhooks are kept.
WEBHOOK_DAYS = env.number("WEBHOOK_DAYS", 30, most=env.MOST_DAYS)
# Seconds of a rate limit's period, which begins with a client's first request. The limits count
# reads and commands per user, and all requests without a login per address.
RATE_LIMIT_SECONDS = env.number("RATE_LIMIT_SECONDS", 10)
RATE_LIMITS = {
    "reads": env.number("RATE_LIMIT_READS", 5_000),
    "commands": env.number("RATE_LIMIT_COMMANDS", 2_000),
    "anonymous": env.number("RATE_LIMIT_ANONYMOUS", 1_000),
}
# Milliseconds of a process's time in such a period for an address without a login, which takes 100.
RATE_LIMIT_PROCESSOR_MS = env.number("RATE_LIMIT_PROCESSOR_MS", 3_000)
# Seconds in which failed logins are counted, by user name, and by address, which can be an office.
LOGIN_FAILURE_SECONDS = env.number("LOGIN_FAILURE_SECONDS", 900)
LOGIN_FAILURES = {
    "name": env.number("LOGIN_FAILURES_BY_NAME", 10),
    "address": env.number("LOGIN_FAILURES_BY_ADDRESS", 50),
}
# Links that may be mailed in that period: to one e-mail address, and for one network address.
MAILED_LINKS = {
    "name": env.number("MAILED_LINKS_BY_EMAIL", 5),
    "address": env.number("MAILED_LINKS_BY_ADDRESS", 50),
}
# Proxies in front that add to X-Forwarded-For; 0: the header, which can be forged, is ignored.
TRUSTED_PROXIES = env.number("TRUSTED_PROXIES", 0)
CSRF_FAILURE_VIEW = "config.http.answers.pages.csrf_failure"
REST_FRAMEWORK = library_settings.REST_FRAMEWORK | {"NUM_PROXIES": TRUSTED_PROXIES}
# The e-mail address for questions about the API, shown in the OpenAPI document; none by default.
API_CONTACT_EMAIL = os.environ.get("API_CONTACT_EMAIL") or ""
SPECTACULAR_SETTINGS = openapi_settings.spectacular(PUBLIC_URL, API_CONTACT_EMAIL)

# --- Texts, times, files -----------------------------------------------------------------------
LANGUAGE_CODE = "en"
# Times are stored in UTC; the admin shows the store's time with its zone.
TIME_ZONE = STORE_TIME_ZONE
FORMAT_MODULE_PATH = "config.formats"
STATIC_URL = "static/"
# Files are served from where they are installed, so there is no collectstatic step to forget.
WHITENOISE_USE_FINDERS, WHITENOISE_ALLOW_ALL_ORIGINS = True, False

# --- Mail to the administrators and to customers -------------------------------------------------
# Recipients of the alarm's mail, at its beginning and its end; comma separated.
ADMINS = [(address, address) for address in env.texts("ADMINS")]
# The mail server; without one, mail is printed.
EMAIL_HOST = os.environ.get("EMAIL_HOST", "")
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'console'}.EmailBackend"
EMAIL_PORT = env.number("EMAIL_PORT", 25)
EMAIL_HOST_USER = os.environ.get("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = os.environ.get("EMAIL_HOST_PASSWORD", "")
# At most one: TLS after a plain greeting (usual on port 587), or from the beginning (on 465).
EMAIL_USE_TLS, EMAIL_USE_SSL = env.flag("EMAIL_USE_TLS", False), env.flag("EMAIL_USE_SSL", False)
# The senders of the mail to the administrators, and of the links that customers get.
SERVER_EMAIL = os.environ.get("SERVER_EMAIL") or "orders@localhost"
DEFAULT_FROM_EMAIL = os.environ.get("DEFAULT_FROM_EMAIL") or SERVER_EMAIL
EMAIL_SUBJECT_PREFIX, EMAIL_TIMEOUT = "[Order service] ", 10

# --- Logs --------------------------------------------------------------------------------------
# INFO adds a line per request and command, DEBUG one per batch of a projection.
LOG_LEVEL = os.environ.get("LOG_LEVEL") or "WARNING"
# The format of log records: text, or json with one object a line.
LOG_FORMAT = env.choice("LOG_FORMAT", "text", "json")
LOGGING = logs.configuration(level=LOG_LEVEL, record_format=LOG_FORMAT)
