"""Where options may come from besides keyword arguments."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

# The environment variables that `from_env()` and the command line read, and the options they set.
ENVIRONMENT: Mapping[str, tuple[str, str]] = {
    "OPENAI_API_KEY": ("llm", "api_key"),
    "OPENAI_BASE_URL": ("llm", "base_url"),
    "DATABASE_URL": ("store", "url"),
    "REDIS_URL": ("cache", "url"),
}


def options_from_env(environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for variable, (group, key) in ENVIRONMENT.items():
        value = (os.environ if environment is None else environment).get(variable, "").strip()
        if value:
            options.setdefault(group, {})[key] = value
    return options


def options_from_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Raises ConfigError naming the file for one that cannot be read or is not TOML."""
    import tomllib

    from .errors import ConfigError

    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        reason = error.strerror or "cannot be read"
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        reason = (
            f"is not TOML: {error}"
            if isinstance(error, tomllib.TOMLDecodeError)
            else "is not UTF-8"
        )
    raise ConfigError(f"{os.fspath(path)}: {reason}", code="invalid_config")


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Both, group by group; `over` wins."""
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            result[key] = merged(below, value)
        else:
            result[key] = value
    return result
