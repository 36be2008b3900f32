"""The doors say the same: the engine's schema, the command's flags, Python's errors, the README."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import postgen
from postgen import _core, errors
from postgen.cli import schema
from test_cli import postgen_command

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SCHEMA = json.loads(_core.schema())


def flags_of(command: str) -> set[str]:
    done = postgen_command(command, "--help", env={"COLUMNS": "200"})
    return set(re.findall(r"(?<![\w-])--[a-z0-9][\w-]*", done.stdout))


@pytest.mark.parametrize("command", ["generate", "batch", "doctor", "migrate", "probe"])
def test_every_option_is_a_flag(command: str) -> None:
    expected = {
        "--" + option["name"].replace(".", "-").replace("_", "-") for option in SCHEMA["options"]
    }
    expected |= {"--base-url", "--api-key", "--api-key-file", "--store", "--cache", "--model"}
    expected |= {"--config"}
    assert expected <= flags_of(command)


def test_every_request_field_is_a_flag() -> None:
    special = {"store": "--no-store", "commodityTags": "--commodity-tags"}
    special |= {"communityTopic": "--community-topic"}
    expected = {
        special.get(field["name"], "--" + field["name"].replace("_", "-"))
        for field in SCHEMA["request"]
    }
    assert expected <= flags_of("generate")


def test_every_field_has_a_type_that_flags_know() -> None:
    known = {"int", "number", "bool", "string", "enum", "strings", "json", "object"}
    fields = schema.request_fields() + schema.option_fields()
    assert {field.type for field in fields} <= known
    assert all(field.doc for field in fields)


def test_flags_set_what_they_name(tmp_path: Path) -> None:
    """A value for every flag goes through the engine's own parsers."""
    samples = {"int": "100", "number": "1", "string": "x", "strings": "x", "json": "{}"}
    samples["object"] = "{}"
    special = {
        "llm.provider": "template",
        "llm.base_url": "https://host/v1",
        "llm.proxy": "http://host:1",
        "cache.url": "none:",
        "shared.url": "",
        "store.url": f"sqlite:{tmp_path}/posts.db",  # idempotency_key wants one that lasts
        "store.spool": "none:",
        "profiles.url": f"file:{ROOT}/examples/kols.json",  # require_kol wants one
        "kol_serial": "1",
        "versions": "2",
        "commodityTags": "[]",
        "llm.endpoints": "[]",
        "llm.max_attempts": "2",
        "llm.max_reply_bytes": "4096",
        "store.spool_max_bytes": "65536",
        "prompts.dir": "",
        "title": "",
        "content": "",
    }
    arguments = ["generate", "--json"]
    for field in schema.option_fields() + schema.request_fields():
        if field.name in ("store", "cache"):
            continue
        flag = schema._request_flag(field)
        if field.type == "bool":
            arguments.append(flag)
        else:
            value = field.values[0] if field.values else samples[field.type]
            arguments.append(f"{flag}={special.get(field.name, value)}")
    done = postgen_command(*arguments)
    assert done.returncode == 0, done.stderr + done.stdout


def test_codes() -> None:
    ours = {(name, status) for name, status in errors.HTTP_STATUS.items()}
    theirs = {(code["name"], code["http_status"]) for code in SCHEMA["codes"]}
    assert ours == {code for code in theirs if code[1] != 200}
    for name, error_class in errors.ERROR_CLASSES.items():
        error = errors.make_error("message", name)
        assert type(error) is error_class
        assert getattr(postgen, error_class.__name__) is error_class


def test_the_reference_is_current() -> None:
    made = subprocess.run(
        [sys.executable, ROOT / "scripts/lib/reference.py"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    assert made.stdout == (ROOT / "docs/reference.md").read_text(encoding="utf-8")


def test_the_stub_names_what_the_module_has() -> None:
    stub = (Path(postgen.__file__).parent / "_core.pyi").read_text()
    for name in dir(_core):
        if not name.startswith("_"):
            assert re.search(rf"^(class {name}\b|def {name}\b|{name}:)", stub, re.M), name
            members = getattr(_core, name)
            if inspect.isclass(members) and name != "Failure":
                for member in vars(members):
                    if not member.startswith("_"):
                        assert re.search(rf"^    def {member}\b", stub, re.M), f"{name}.{member}"


def test_version() -> None:
    version = (ROOT / "VERSION").read_text().strip()
    assert postgen.__version__ == version
    assert postgen_command("--version").stdout == f"postgen {version}\n"


def readme_block(language: str) -> str:
    (block,) = re.findall(rf"```{language}\n(.*?)```", README, re.S)
    return str(block)


@pytest.mark.parametrize(("language", "file"), [("python", "py"), ("cpp", "cc"), ("c", "c")])
def test_readme_shows_the_examples(language: str, file: str) -> None:
    assert readme_block(language) == (ROOT / f"examples/generate.{file}").read_text("utf-8")


def test_python_example_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples/generate.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert "台積電" in done.stdout


@pytest.mark.parametrize(
    ("compiler", "file"),
    [(["g++", "-std=c++20"], "generate.cc"), (["gcc", "-std=c11", "-pedantic"], "generate.c")],
)
def test_other_examples_compile(compiler: list[str], file: str, tmp_path: Path) -> None:
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"needs {compiler[0]}")
    (tmp_path / "postgen").mkdir()
    (tmp_path / "postgen/version.h").write_text('#define POSTGEN_VERSION "0"\n')
    done = subprocess.run(
        [
            *compiler,
            "-Wall",
            "-Wextra",
            "-Werror",
            "-fsyntax-only",
            f"-I{ROOT / 'include'}",
            f"-I{ROOT / 'capi/include'}",
            f"-I{tmp_path}",
            ROOT / "examples" / file,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_readme_commands_are_understood(tmp_path: Path) -> None:
    commands = [
        line.removeprefix("postgen ").split()
        for line in readme_block_of_commands().splitlines()
        if line.split()[1] in ("generate", "batch", "cost", "doctor")
    ]
    assert len(commands) == 4
    for command in commands:
        words = [str(ROOT / word) if word.startswith("examples/") else word for word in command]
        words = [str(tmp_path / word) if word == "results.jsonl" else word for word in words]
        words = [f"sqlite:{tmp_path}/posts.db" if "sqlite" in word else word for word in words]
        done = postgen_command(*words)
        assert done.returncode == 0, (command, done.stderr)


def readme_block_of_commands() -> str:
    (block,) = (b for b in re.findall(r"```sh\n(.*?)```", README, re.S) if b.startswith("postgen"))
    return str(block)
