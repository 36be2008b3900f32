"""Writes docs/reference.md from what the engine says of itself:

.venv/bin/python scripts/lib/reference.py > docs/reference.md
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from postgen import _core, errors


def reference() -> str:
    schema = json.loads(_core.schema())
    return "\n".join(
        [
            "# Reference",
            "",
            "The fields of requests, the options of generators and the codes of errors, the same",
            "in every language. Made by `scripts/lib/reference.py`; a test keeps it current.",
            "",
            "## Requests",
            "",
            "On the command line `max_words` is `--max-words`.",
            "",
            *_fields(schema["request"]),
            "",
            "## Options",
            "",
            "In C++ and in documents `llm.max_in_flight` is the member of that name; in Python",
            '`PostGenerator(llm={"max_in_flight": 64})`, on the command line',
            "`--llm-max-in-flight`, in a TOML file `max_in_flight` under `[llm]`.",
            "",
            *_fields(schema["options"]),
            "",
            "## Codes",
            "",
            "| code | number in C | HTTP status | Python |",
            "|---|---|---|---|",
            *_codes(schema["codes"]),
            "",
        ]
    )


def _fields(fields: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "| name | type | default | bounds | meaning |"
    yield "|---|---|---|---|---|"
    for field in fields:
        yield (
            f"| `{field['name']}` | {field['type']} | {_default(field['default'])} | "
            f"{_bounds(field)} | {_cell(field['doc'])} |"
        )


def _default(default: Any) -> str:
    if default in (None, "", [], {}):
        return ""
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _bounds(field: Mapping[str, Any]) -> str:
    if "values" in field:
        return ", ".join(f"`{value}`" for value in field["values"])
    low, high = field.get("min"), field.get("max")
    if low is None and high is None:
        return ""
    if field["type"] == "string":
        return f"{low} to {high} characters" if low else f"at most {high} characters"
    return f"{low} to {high}" if low is not None else f"at most {high}"


def _codes(codes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for code in codes:
        error_class = errors.ERROR_CLASSES.get(code["name"])
        name = f"`{error_class.__name__}`" if error_class else ""
        yield f"| `{code['name']}` | {code['number']} | {code['http_status']} | {name} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(reference(), end="")
