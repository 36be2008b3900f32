"""JSON in and out of the compiled part."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from . import _core
from .errors import BadRequestError, ConfigError, Error, error_from_reply


def encode_request(request: Mapping[str, Any]) -> bytes:
    """TypeError for what JSON cannot hold (bytes, ...); BadRequestError for texts and numbers that
    it must not (lone surrogates, NaN)."""
    if not isinstance(request, Mapping):
        raise TypeError(f"a request is a mapping, not {type(request).__name__}")
    try:
        return _encode(request)
    except ValueError as error:
        raise BadRequestError(_reason("request", error), code="invalid_request") from None


def encode_options(options: Mapping[str, Any]) -> bytes:
    """As encode_request, with ConfigError."""
    try:
        return _encode(options)
    except ValueError as error:
        raise ConfigError(_reason("options", error), code="invalid_config") from None


def decode(document: bytes) -> Any:
    return json.loads(document)


def error_of(failure: _core.Failure) -> Error:
    """The error that the compiled part raised, as the class of its code."""
    return error_from_reply(json.loads(str(failure)))


def reply_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """The reply in a call's last event."""
    reply: dict[str, Any] = event["result"]
    return reply


def _encode(document: Mapping[str, Any]) -> bytes:
    if not isinstance(document, dict):
        document = dict(document)
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode()


def _reason(what: str, error: ValueError) -> str:
    if isinstance(error, UnicodeEncodeError):
        return f"the {what} holds text that is not Unicode (a lone surrogate)"
    if "circular" in str(error).lower():
        return f"the {what} contains itself"
    return f"the {what} holds a number that JSON does not have (NaN or infinity)"
