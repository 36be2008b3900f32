"""What the commands share: options by precedence, and how to end."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from .. import options as sources
from ..errors import Error
from ..generator import PostGenerator
from . import schema

ALL_DONE = 0
SOME_FAILED = 1
USAGE = 2


class UsageError(Exception):
    """What the user must change; the command ends with status 2 and this line."""


def generator_from(arguments: argparse.Namespace) -> PostGenerator:
    """Flags over configuration file over environment over defaults."""
    return PostGenerator(**options_of(arguments))


def options_of(arguments: argparse.Namespace) -> dict[str, Any]:
    options = sources.options_from_env()
    if arguments.config:
        options = sources.merged(options, sources.options_from_file(arguments.config))
    if arguments.api_key_file:
        key = read_text(arguments.api_key_file).strip()
        options = sources.merged(options, {"llm": {"api_key": key}})
    return sources.merged(options, schema.options_from(arguments))


def model_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The request fields that make --model win over the KOL's own model."""
    model = getattr(arguments, "option:llm.default_model", None)
    return {"model_id_override": model, "use_kol_default_model": False} if model else {}


def read_text(path: str) -> str:
    """The file's text; `-` is standard input."""
    try:
        if path == "-":
            return sys.stdin.buffer.read().decode("utf-8")
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8") from None


def read_request(path: str) -> dict[str, Any]:
    try:
        request = json.loads(read_text(path))
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}") from None
    if not isinstance(request, dict):
        raise UsageError(f"{path}: a request is a JSON object")
    return request


def print_json(document: Any, file: TextIO | None = None) -> None:
    print(json.dumps(document, ensure_ascii=False), file=file or sys.stdout, flush=True)


def note(text: str) -> None:
    print(f"postgen: {text}", file=sys.stderr)


def status_of(error: Error) -> int:
    return USAGE if error.code in ("invalid_config", "invalid_request") else SOME_FAILED


def show_reply_failure(reply: Mapping[str, Any]) -> None:
    note(f"{reply.get('error_type')}: {reply.get('message')}")
