"""What can go wrong. Each code of the engine has one class here; several codes may share one.

try:
    post = generator.generate(request)
except postgen.RateLimitError as error:
    retry_later(error.details.get("retry_after_ms"))
except postgen.Error as error:
    log.warning("%s: %s", error.code, error)   # never holds a key, a password or a prompt
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Error(Exception):
    """A post or a generator failed.

    `code` is the stable name ("rate_limited"), `status` the HTTP status that goes with it,
    `details` the facts that are known (http_status, provider_code, request_id, retry_after_ms,
    attempts, field), `reply` the failure reply for the caller of an HTTP service.
    """

    code: str
    status: int
    details: dict[str, Any]
    reply: dict[str, Any]

    def __init__(
        self,
        message: str,
        *,
        code: str = "internal",
        details: Mapping[str, Any] | None = None,
        reply: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = HTTP_STATUS.get(code, 500)
        self.details = dict(details or {})
        self.reply = dict(reply) if reply is not None else _failure_reply(message, code)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (str(self), self.code, self.details, self.reply)


class BadRequestError(Error, ValueError):
    """The request was refused before anything was done."""


class ConfigError(Error, ValueError):
    """The options were refused."""


class NotFoundError(Error):
    """There is no such KOL, and `require_kol` is set."""


class ConflictError(Error):
    """The idempotency key or post id is taken by other content."""


class BudgetError(Error):
    """The spending budget would be exceeded."""


class OverloadedError(Error):
    """Too many posts are pending; nothing was paid."""


class StoreError(Error):
    """The store or its schema is unusable; nothing was paid."""


class AuthenticationError(Error):
    """The provider refused the key."""


class QuotaError(Error):
    """The money or quota at the provider is used up."""


class RateLimitError(Error):
    """Still rate limited after the last attempt."""


class UpstreamRefusedError(Error):
    """The provider refused the call, or its content filter did."""


class APIStatusError(Error):
    """The provider failed with a 5xx."""


class APIConnectionError(Error):
    """No connection to the provider, or it broke."""


class APITimeoutError(Error):
    """A time limit of a call passed; `code` says which."""


class APIResponseError(Error):
    """The provider's reply was cut, malformed or too large."""


class VersionRejectedError(Error):
    """A version failed its checks."""


class DeadlineError(Error):
    """Nothing was ready when the post was due."""


class CancelledError(Error):
    """The post was cancelled. (A cancelled asyncio task raises asyncio's CancelledError.)"""


# One line a code, in the order of the engine's list; a test compares it with the engine's own.
_CODES: tuple[tuple[str, int, type[Error]], ...] = (
    ("invalid_request", 400, BadRequestError),
    ("invalid_config", 500, ConfigError),
    ("unknown_kol", 404, NotFoundError),
    ("conflict", 409, ConflictError),
    ("budget", 402, BudgetError),
    ("busy", 503, OverloadedError),
    ("store", 503, StoreError),
    ("auth", 502, AuthenticationError),
    ("quota", 502, QuotaError),
    ("rate_limited", 429, RateLimitError),
    ("refused", 502, UpstreamRefusedError),
    ("upstream", 502, APIStatusError),
    ("connect", 502, APIConnectionError),
    ("dns", 502, APIConnectionError),
    ("tls", 502, APIConnectionError),
    ("timeout_connect", 504, APITimeoutError),
    ("timeout_first_token", 504, APITimeoutError),
    ("timeout_idle", 504, APITimeoutError),
    ("timeout_attempt", 504, APITimeoutError),
    ("truncated", 502, APIResponseError),
    ("protocol", 502, APIResponseError),
    ("encoding", 502, APIResponseError),
    ("too_large", 502, APIResponseError),
    ("rejected", 502, VersionRejectedError),
    ("deadline", 504, DeadlineError),
    ("cancelled", 499, CancelledError),
    ("closed", 500, Error),
    ("forked", 500, Error),
    ("reentrant", 500, Error),
    ("nomem", 500, Error),
    ("internal", 500, Error),
)

HTTP_STATUS: Mapping[str, int] = {name: status for name, status, _ in _CODES}
ERROR_CLASSES: Mapping[str, type[Error]] = {name: cls for name, _, cls in _CODES}

_DETAILS = ("http_status", "provider_code", "request_id", "retry_after_ms", "attempts", "field")


def error_from_reply(reply: Mapping[str, Any]) -> Error:
    """The error that a failure reply stands for."""
    code = reply.get("error_type", "internal")
    facts = (reply.get("postgen") or {}).get("error") or {}
    details = {name: facts[name] for name in _DETAILS if facts.get(name) not in (None, "")}
    return make_error(reply.get("message", code), code, details, reply)


def make_error(
    message: str,
    code: str,
    details: Mapping[str, Any] | None = None,
    reply: Mapping[str, Any] | None = None,
) -> Error:
    """An error of the class that belongs to `code`."""
    return ERROR_CLASSES.get(code, Error)(message, code=code, details=details, reply=reply)


def _failure_reply(message: str, code: str) -> dict[str, Any]:
    from datetime import datetime, timedelta, timezone

    taipei = timezone(timedelta(hours=8))
    return {
        "success": False,
        "message": message,
        "detail": message,
        "error_type": code,
        "timestamp": datetime.now(taipei).isoformat(),
        "postgen": {},
    }


def _rebuild(
    message: str, code: str, details: Mapping[str, Any], reply: Mapping[str, Any]
) -> Error:
    return make_error(message, code, details, reply)
