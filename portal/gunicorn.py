"""gunicorn's configuration, for `make run` and production alike."""

from __future__ import annotations

from portal import env

_settings = env.settings_or_exit()

bind = f"{_settings.STOREKEEPER_LISTEN}:{_settings.PORT}"
worker_class = "gthread"
workers = env.number("WEB_CONCURRENCY", 1 if _settings.SQLITE else 2, 1, 64)
threads = 8
timeout = 60
graceful_timeout = 3
keepalive = 5
loglevel = "warning"
# Its default place is in the home of whoever starts it.
control_socket_disable = True
