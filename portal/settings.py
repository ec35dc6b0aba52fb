"""All settings, read from the environment by the strict readers of `portal.env`. With nothing set the embedded parts run.

docs/operations.md says what each name means.
"""

from __future__ import annotations

import secrets
from email.utils import parseaddr
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import js_lib_bootstrap5
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from portal import env

BASE_DIR = Path(__file__).resolve().parent.parent
VAR = env.folder("STOREKEEPER_VAR", BASE_DIR / "var")
"""Everything that the embedded parts write lies in here."""
KEYS = VAR / "keys"

# Where the portal is reached

PORT = env.number("PORT", 8000, 1, 65535)
STOREKEEPER_LISTEN = env.text("STOREKEEPER_LISTEN", "127.0.0.1")
STOREKEEPER_URL = env.address("STOREKEEPER_URL", f"http://localhost:{PORT}")
"""What people type; links in mails begin with it."""
STOREKEEPER_PROXIES = env.number("STOREKEEPER_PROXIES", 0, 0, 5)
"""How many reverse proxies of ours stand in front; their X-Forwarded headers are believed."""
HTTPS = STOREKEEPER_URL.startswith("https:")
LOCAL_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = env.words("STOREKEEPER_HOSTS", [urlsplit(STOREKEEPER_URL).hostname or "", *LOCAL_HOSTS])
CSRF_TRUSTED_ORIGINS = [STOREKEEPER_URL]
ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
APPEND_SLASH = True

# Secrets

DEBUG = env.flag("DEBUG")
SECRET_KEY_FILE = KEYS / "secret_key"
SECRET_KEY = env.kept_secret("SECRET_KEY", SECRET_KEY_FILE) or secrets.token_urlsafe(48)
"""Before the first run a key for this process alone, so that no default can be guessed."""
STOREKEEPER_KEYS_FILE = KEYS / "key_ring"
STOREKEEPER_KEYS = env.kept_secret("STOREKEEPER_KEYS", STOREKEEPER_KEYS_FILE)

# What the portal does

STOREKEEPER_PASSWORD_SYMBOLS = env.choice("STOREKEEPER_PASSWORD_SYMBOLS", ("refuse", "warn"), "refuse")
STOREKEEPER_EXPIRY_INTERVAL = env.number("STOREKEEPER_EXPIRY_INTERVAL", 600, 1, 86_400)
"""Seconds between two runs of the expiry task."""
DELIVERY_INTERVAL = min(60, STOREKEEPER_EXPIRY_INTERVAL)
STOREKEEPER_PING_URL = env.secret_address("STOREKEEPER_PING_URL")
"""Asked after each good run of the expiry task, so that somebody else notices when there is none; empty for nobody."""
STOREKEEPER_TEST_INTERVAL = env.number("STOREKEEPER_TEST_INTERVAL", 86_400, 60, 2_592_000)
"""Seconds between two tests of one provider by the drift watch."""
STOREKEEPER_METRICS_TOKEN = env.secret("STOREKEEPER_METRICS_TOKEN")
"""Lets a monitoring system read /metrics from elsewhere than this machine; empty for none."""

INSTALLED_APPS = [
    "portal",
    "stores",
    "providers",
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "django.forms",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "axes",
    "csp",
    "django_htmx",
]

MIDDLEWARE = [
    "portal.middleware.CallerMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "portal.middleware.ContentPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "portal.middleware.PlainAddressMiddleware",
    "portal.resume.KeepTypedMiddleware",
    "portal.errors.PortalErrorMiddleware",
    "axes.middleware.AxesMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.context.page",
                "stores.context.watch",
            ],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

# Database: PostgreSQL by its address, else SQLite

DATABASES = {"default": env.database("DATABASE_URL", VAR / "storekeeper.sqlite3")}
SQLITE = DATABASES["default"]["ENGINE"].endswith("sqlite3")
if SQLITE:
    # IMMEDIATE takes the write lock when a transaction begins, so that two writers wait instead of failing half way.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    DATABASES["default"].setdefault("OPTIONS", {}).setdefault("connect_timeout", 5)
# Opening a connection reads the schema; the last one of SQLite to close brings its log into the file and waits for the disk.
DATABASES["default"]["CONN_MAX_AGE"] = 60
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Connections that the portal opens: public addresses, these networks, and in the embedded default this machine

STOREKEEPER_OUTBOUND_ALLOW = env.networks(
    "STOREKEEPER_OUTBOUND_ALLOW", ["127.0.0.0/8", "::1/128"] if SQLITE else []
)

# Cache and broker: Redis by its address, else the database and a folder

REDIS_URL = env.redis("REDIS_URL")
BROKER = VAR / "broker"
if REDIS_URL:
    CACHES: dict[str, Any] = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": "storekeeper",
        }
    }
    CELERY_BROKER_URL = REDIS_URL
    CELERY_RESULT_BACKEND = REDIS_URL
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
        "global_keyprefix": "storekeeper:",
        "visibility_timeout": 3600,
    }
    CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS = {"global_keyprefix": "storekeeper:"}
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache"}}
    CELERY_BROKER_URL = "filesystem://localhost"
    CELERY_BROKER_TRANSPORT = "portal.broker:Transport"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(BROKER / "queue"),
        "data_folder_out": str(BROKER / "queue"),
        "control_folder": str(BROKER / "control"),
    }

# Tasks

CELERY_TASK_IGNORE_RESULT = True
CELERY_RESULT_EXPIRES = 3600
CELERY_TIMEZONE = "UTC"
CELERY_WORKER_POOL = "threads"
CELERY_WORKER_CONCURRENCY = env.number("STOREKEEPER_WORKER_THREADS", 4, 1, 64)
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR / "beat-schedule")


def _every(task: str, seconds: int, expires: int) -> dict[str, Any]:
    """A scheduled task. `expires` in seconds: what nobody has run until then is dropped, so that runs never pile up."""
    return {"task": task, "schedule": seconds, "options": {"expires": expires}}


CELERY_BEAT_SCHEDULE = {
    "find expiring": _every(
        "stores.tasks.find_expiring", STOREKEEPER_EXPIRY_INTERVAL, STOREKEEPER_EXPIRY_INTERVAL
    ),
    "deliver notices": _every("stores.tasks.deliver_notices", DELIVERY_INTERVAL, 60),
    "send summaries": _every("stores.tasks.send_summaries", 600, 600),
    "tend cases": _every("stores.tasks.tend_cases", min(60, STOREKEEPER_EXPIRY_INTERVAL), 60),
    "activate what is due": _every("stores.tasks.activate_due", min(60, STOREKEEPER_EXPIRY_INTERVAL), 60),
    "discard unconfirmed": _every("stores.tasks.discard_unconfirmed", 3600, 3600),
    "remove orphaned files": _every("stores.tasks.remove_orphaned_files", 86_400, 86_400),
    "find expiring servers": _every(
        "providers.tasks.find_expiring", STOREKEEPER_EXPIRY_INTERVAL, STOREKEEPER_EXPIRY_INTERVAL
    ),
    "resume tests": _every("providers.tasks.resume_tests", 60, 60),
    "watch connections": _every("providers.tasks.watch_connections", 60, 60),
}

# Files: sealed originals in an S3 bucket, else in a folder; static files from the packages, or collected

S3_BUCKET = env.text("STOREKEEPER_S3_BUCKET")
STOREKEEPER_STATIC = env.text("STOREKEEPER_STATIC")
if S3_BUCKET:
    from botocore.config import Config

    SEALED: dict[str, Any] = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": S3_BUCKET,
            "endpoint_url": env.text("STOREKEEPER_S3_ENDPOINT") or None,
            "region_name": env.text("STOREKEEPER_S3_REGION") or None,
            # Without keys boto3 takes those of the machine's own role.
            "access_key": env.secret("STOREKEEPER_S3_KEY_ID") or None,
            "secret_key": env.secret("STOREKEEPER_S3_KEY_SECRET") or None,
            "client_config": Config(
                s3={"addressing_style": "path" if env.text("STOREKEEPER_S3_ENDPOINT") else "auto"},
                signature_version="s3v4",
                # A person waits for the answer: a storage that is silent is soon said to be down.
                connect_timeout=3,
                read_timeout=10,
                retries={"mode": "standard", "total_max_attempts": 2},
            ),
            "default_acl": None,
            "file_overwrite": False,
            "location": "sealed",
        },
    }
else:
    SEALED = {
        "BACKEND": "portal.folder.Folder",
        "OPTIONS": {
            "location": VAR / "files",
            "base_url": None,
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    }
STORAGES = {
    "default": SEALED,
    "sealed": SEALED,
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if STOREKEEPER_STATIC
        else "django.contrib.staticfiles.storage.StaticFilesStorage",
    },
}
STATIC_URL = "/static/"
STATIC_ROOT = STOREKEEPER_STATIC or None
STATICFILES_DIRS = [("bootstrap", Path(js_lib_bootstrap5.__file__).parent / "static" / "js-lib-bootstrap5")]
WHITENOISE_USE_FINDERS = not STOREKEEPER_STATIC
WHITENOISE_AUTOREFRESH = DEBUG
FILE_UPLOAD_TEMP_DIR = None
FILE_UPLOAD_HANDLERS = ["portal.uploads.BoundedUploadHandler"]
# More than an upload may have, so that a pasted text that is too large is told beside its field and not by a bare page.
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FILES = 2

# Signing in

AUTH_USER_MODEL = "portal.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "portal.accounts.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_LOGOUT_REDIRECT_URL = LOGIN_URL
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if HTTPS else "http"
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_SESSION_REMEMBER = True
MFA_ADAPTER = "portal.accounts.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_ALLOW_UNVERIFIED_EMAIL = True
"""Accounts are made by owners and administrators, so nobody proves an address of their own."""
MFA_TOTP_ISSUER = "Storekeeper"
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS
SOCIALACCOUNT_EMAIL_AUTHENTICATION = True
SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = True
SOCIALACCOUNT_EMAIL_VERIFICATION = "none"

OIDC_URL = env.text("STOREKEEPER_OIDC_URL")
SOCIALACCOUNT_PROVIDERS: dict[str, Any] = {}
if OIDC_URL:
    INSTALLED_APPS.append("allauth.socialaccount.providers.openid_connect")
    SOCIALACCOUNT_PROVIDERS["openid_connect"] = {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": "company",
                "name": env.text("STOREKEEPER_OIDC_NAME", "your company account"),
                "client_id": env.text("STOREKEEPER_OIDC_CLIENT_ID"),
                "secret": env.secret("STOREKEEPER_OIDC_CLIENT_SECRET"),
                "settings": {"server_url": OIDC_URL},
            }
        ],
    }

AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25
"""Hours."""
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_USERNAME_CALLABLE = "portal.accounts.name_tried"
AXES_LOCKOUT_TEMPLATE = "account/locked_out.html"
AXES_CLIENT_IP_CALLABLE = "portal.accounts.address_of"
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

# Sessions and what a browser may do

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_NAME = "storekeeper_session"
CSRF_COOKIE_NAME = "storekeeper_csrf"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "portal.views.form_too_old"
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
SECURE_REDIRECT_EXEMPT = [r"^health/", r"^v3/"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if STOREKEEPER_PROXIES else None
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "manifest-src": [SELF],
    }
}
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

# Mail: SMTP by its host, else files

MAIL = VAR / "mail"
EMAIL_HOST = env.text("STOREKEEPER_SMTP_HOST")
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'filebased'}.EmailBackend"
EMAIL_FILE_PATH = str(MAIL)
EMAIL_PORT = env.number("STOREKEEPER_SMTP_PORT", 587, 1, 65535)
EMAIL_HOST_USER = env.text("STOREKEEPER_SMTP_USER")
EMAIL_HOST_PASSWORD = env.secret("STOREKEEPER_SMTP_PASSWORD")
SMTP_SECURITY = env.choice("STOREKEEPER_SMTP_SECURITY", ("starttls", "tls", "none"), "starttls")
EMAIL_USE_TLS = SMTP_SECURITY == "starttls"
EMAIL_USE_SSL = SMTP_SECURITY == "tls"
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.text("STOREKEEPER_MAIL_FROM", "Storekeeper <storekeeper@localhost>")
if "@" not in parseaddr(DEFAULT_FROM_EMAIL)[1]:
    raise ImproperlyConfigured(
        "STOREKEEPER_MAIL_FROM has to look like Storekeeper <storekeeper@example.org>."
    )

# Language, time, face of the administration, log

LANGUAGE_CODE = "en-gb"
USE_I18N = False
TIME_ZONE = "UTC"
USE_TZ = True
DATETIME_FORMAT = "j M Y, H:i T"
DATE_FORMAT = "j M Y"
UNFOLD = {
    "SITE_TITLE": "Storekeeper administration",
    "SITE_HEADER": "Storekeeper",
    "SITE_SUBHEADER": "Administration",
    "SITE_URL": "/",
    "SHOW_VIEW_ON_SITE": False,
    "SITE_DROPDOWN": [
        {"icon": "arrow_back", "title": "To the portal", "link": "/"},
        *([] if EMAIL_HOST else [{"icon": "mail", "title": "Mail that was written", "link": "/admin/mail/"}]),
    ],
    "COLORS": {"primary": {
        "50": "#f3f4fd", "100": "#eceefb", "200": "#d5daf7", "300": "#b3bcf0", "400": "#9aa6ff", "500": "#5c6be0",
        "600": "#3b4cca", "700": "#3341ab", "800": "#2b3789", "900": "#252c4a", "950": "#171b30",
    }},
}  # fmt: skip
LOG_LEVEL = env.choice("STOREKEEPER_LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), "INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "filters": {"brief": {"()": "portal.logs.Brief"}, "discreet": {"()": "portal.logs.Discreet"}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["brief", "discreet"],
        }
    },
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        "storekeeper": {"level": LOG_LEVEL},
        "axes": {"level": "WARNING"},
        # Its handlers of its own would say everything twice, and mail tracebacks.
        "django": {"handlers": [], "level": "WARNING", "propagate": True},
        # Below this it prints what pages are made of, secrets that are shown once included.
        "django.template": {"level": "INFO"},
        "django.server": {"handlers": ["console"], "level": "INFO", "propagate": False},
    },
}
SILENCED_SYSTEM_CHECKS: list[str] = []
