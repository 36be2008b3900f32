"""What requests and options may hold, as the engine tells it, and the flags made from that."""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from .. import _core


class Field(NamedTuple):
    name: str  # "max_words", "llm.max_in_flight"
    type: str  # "int", "number", "bool", "string", "enum", "strings", "json" or "object"
    default: Any
    doc: str
    values: tuple[str, ...]  # of an enum

    @property
    def flag(self) -> str:
        return "--" + self.name.replace(".", "-").replace("_", "-")


def request_fields() -> list[Field]:
    return _fields("request")


def option_fields() -> list[Field]:
    return _fields("options")


# Flags of a request that would mean two things. `--cache` and `--store` are short for the URLs:
# `--cache` also takes the three words of the request's field, and its `store` is a switch.
_CACHE_MODES = ("use", "refresh", "bypass")

# Short forms and the options they stand for.
SHORT_OPTIONS: Mapping[str, str] = {
    "--base-url": "llm.base_url",
    "--api-key": "llm.api_key",
    "--store": "store.url",
    "--model": "llm.default_model",
}


def add_option_flags(parser: argparse.ArgumentParser, *, with_cache: bool = True) -> None:
    """Every option of a generator, its short forms, --config and --api-key-file.

    `with_cache`: add --cache as the short form of cache.url alone; requests have a wider one.
    """
    sources = parser.add_argument_group("where options come from")
    sources.add_argument("--config", metavar="FILE.toml", help="options from a TOML file")
    sources.add_argument(
        "--api-key-file", metavar="FILE", help="file that holds the key of the API alone"
    )
    short = {option: flag for flag, option in SHORT_OPTIONS.items()}
    if with_cache:
        short["cache.url"] = "--cache"
    options = parser.add_argument_group("options")
    for field in option_fields():
        flags = [field.flag]
        if field.name in short:
            flags.insert(0, short[field.name])
        _add(options, flags, field, f"option:{field.name}")


def add_request_flags(parser: argparse.ArgumentParser) -> None:
    """Every field of a request."""
    group = parser.add_argument_group("the request")
    for field in request_fields():
        if field.name == "cache":
            group.add_argument(
                "--cache",
                dest="cache_or_url",
                metavar="|".join(_CACHE_MODES) + "|URL",
                help=_help(field) + " Or the URL of the cache.",
            )
        elif field.name == "store":
            group.add_argument(
                "--no-store",
                dest="request:store",
                action="store_const",
                const=False,
                help="Generate only, write nothing to the store.",
            )
        else:
            _add(group, [_request_flag(field)], field, f"request:{field.name}")


def request_from(arguments: argparse.Namespace) -> dict[str, Any]:
    """The request fields that flags set."""
    request = _set_by_flags(arguments, "request:")
    if arguments.cache_or_url in _CACHE_MODES:
        request["cache"] = arguments.cache_or_url
    return request


def options_from(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options that flags set, nested."""
    flat = _set_by_flags(arguments, "option:")
    cache = getattr(arguments, "cache_or_url", None)
    if cache is not None and cache not in _CACHE_MODES:
        flat["cache.url"] = cache
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        group, _, key = name.rpartition(".")
        (nested.setdefault(group, {}) if group else nested)[key] = value
    return nested


@functools.cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(_core.schema())
    return schema


def _fields(document: str) -> list[Field]:
    return [
        Field(
            entry["name"],
            entry["type"],
            entry.get("default"),
            entry.get("doc", ""),
            tuple(entry.get("values", ())),
        )
        for entry in _schema()[document]
    ]


def _request_flag(field: Field) -> str:
    """`commodityTags` is --commodity-tags."""
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in field.flag)


def _set_by_flags(arguments: argparse.Namespace, prefix: str) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): value
        for name, value in vars(arguments).items()
        if name.startswith(prefix) and value is not None
    }


def _add(group: argparse._ArgumentGroup, flags: list[str], field: Field, dest: str) -> None:
    settings: dict[str, Any] = {"dest": dest, "help": _help(field)}
    if field.type == "bool":
        group.add_argument(*flags, action=argparse.BooleanOptionalAction, **settings)
        return
    if field.type == "enum":
        settings["choices"] = field.values
    elif field.type == "strings":
        settings |= {"action": "append", "metavar": "TEXT"}
    elif field.type in ("json", "object"):
        settings |= {"type": _json_value, "metavar": "JSON"}
    elif field.type == "int":
        settings |= {"type": _int_or_text, "metavar": "N"}
    elif field.type == "number":
        settings |= {"type": float, "metavar": "X"}
    else:
        settings["metavar"] = "TEXT"
    group.add_argument(*flags, **settings)


def _help(field: Field) -> str:
    text = field.doc.replace("%", "%%")
    if field.default not in (None, "", [], {}, False):
        shown = field.default if isinstance(field.default, str) else json.dumps(field.default)
        text += f" (default: {shown})"
    return text


def _int_or_text(text: str) -> int | str:
    """The engine says what is wrong with what is no number, and takes KOL-208 for 208."""
    try:
        return int(text)
    except ValueError:
        return text


def _json_value(text: str) -> Any:
    """JSON, or @FILE that holds it."""
    try:
        if text.startswith("@"):
            with open(text[1:], encoding="utf-8") as file:
                return json.load(file)
        return json.loads(text)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text[1:]}: {error.strerror}") from None
    except ValueError:
        raise argparse.ArgumentTypeError("not JSON (give JSON text or @FILE)") from None
