"""What the provider does wrong becomes the class, code and details of the list."""

from __future__ import annotations

from typing import Any

import pytest

import postgen
from canary import KEY
from conftest import MakeGenerator, StartEmulator

CASES = [
    # emulator flags, options of the LLM, class, code, HTTP status of the provider, attempts
    (["--api-key=other"], {}, postgen.AuthenticationError, "auth", 401, 1),
    (["--fail=quota"], {}, postgen.QuotaError, "quota", 429, 1),
    (["--fail=retry-after=1ms"], {}, postgen.RateLimitError, "rate_limited", 429, 2),
    (["--fail=status=400"], {}, postgen.UpstreamRefusedError, "refused", 400, 1),
    (["--fail=content-filter"], {}, postgen.UpstreamRefusedError, "refused", None, 1),
    (["--fail=status=500"], {}, postgen.APIStatusError, "upstream", 500, 2),
    (["--fail=reset"], {}, postgen.APIConnectionError, "connect", None, 2),
    (["--fail=length"], {}, postgen.APIResponseError, "truncated", None, None),
    (["--fail=html"], {}, postgen.APIResponseError, "protocol", None, None),
    (["--fail=bad-utf8"], {}, postgen.APIResponseError, "encoding", None, None),
    (["--fail=empty-content"], {}, postgen.APIResponseError, "protocol", None, None),
    (
        ["--fail=stall"],
        {"attempt_timeout_ms": 50},
        postgen.APITimeoutError,
        "timeout_attempt",
        None,
        2,
    ),
]


@pytest.mark.parametrize(
    ("flags", "llm", "error_class", "code", "http_status", "attempts"),
    CASES,
    ids=[case[0][0].removeprefix("--") for case in CASES],
)
def test_provider_errors(
    start_emulator: StartEmulator,
    make_generator: MakeGenerator,
    request_: dict[str, Any],
    flags: list[str],
    llm: dict[str, Any],
    error_class: type[postgen.Error],
    code: str,
    http_status: int | None,
    attempts: int | None,
) -> None:
    generator = make_generator(start_emulator(*flags), llm={"max_attempts": 2, **llm})
    with pytest.raises(postgen.Error) as caught:
        generator.generate(request_ | {"versions": 1})
    error = caught.value
    assert error.code == code
    assert type(error) is error_class
    if http_status is not None:
        assert error.details["http_status"] == http_status
    if attempts is not None:
        assert error.details["attempts"] == attempts
    assert error.reply["success"] is False
    assert error.reply["detail"] == error.reply["message"] == str(error)
    assert error.reply["error_type"] == code
    assert KEY not in str(error.reply)


def test_nobody_listens(request_: dict[str, Any], make_generator: MakeGenerator) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused, and taken by nobody else
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        generator = postgen.PostGenerator(llm={"base_url": url, "api_key": "k", "max_attempts": 1})
        with generator, pytest.raises(postgen.APIConnectionError) as caught:
            generator.generate(request_)
    assert caught.value.code == "connect"


def test_the_deadline(
    start_emulator: StartEmulator, make_generator: MakeGenerator, request_: dict[str, Any]
) -> None:
    generator = make_generator(start_emulator("--fail=stall"))
    with pytest.raises(postgen.DeadlineError) as caught:
        generator.generate(request_ | {"deadline_ms": 100})
    assert caught.value.status == 504


def test_some_versions_fail(
    start_emulator: StartEmulator, make_generator: MakeGenerator, request_: dict[str, Any]
) -> None:
    emulator = start_emulator("--fail=status=400#2")
    post = make_generator(emulator).generate(request_)
    failed = [version for version in post.versions if version["error"] is not None]
    assert [version["error"]["code"] for version in failed] == ["refused"] * 2
    assert len(post.versions) == 5
    assert len(post.reply["alternative_versions"]) == 2


def test_a_failed_stream_ends_with_an_error_event(
    start_emulator: StartEmulator, make_generator: MakeGenerator, request_: dict[str, Any]
) -> None:
    generator = make_generator(start_emulator("--fail=status=400"))
    *_, last = generator.stream(request_)
    assert last["type"] == "error"
    assert postgen.Post(last["result"]).error is not None


def test_too_many_posts(
    start_emulator: StartEmulator, make_generator: MakeGenerator, request_: dict[str, Any]
) -> None:
    emulator = start_emulator("--fail=stall")
    generator = make_generator(emulator, max_pending_posts=1)
    events = generator.stream(request_)
    next(events)
    with pytest.raises(postgen.OverloadedError) as caught:
        generator.generate(request_)
    assert caught.value.status == 503


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"llm": {"max_in_fligth": 3}}, "llm.max_in_flight"),
        ({"stor": {}}, "store"),
        ({"llm": {"temperature": 3}}, "llm.temperature"),
        ({"cache": {"url": "rediss://localhost"}}, "cache.url"),
        ({"llm": {"endpoints": [{"api_key": "k"}]}}, "llm.endpoints[0].base_url"),
        ({"llm": {"rpm": 0.5}}, "llm.rpm"),
    ],
)
def test_refused_options(options: dict[str, Any], named: str) -> None:
    with pytest.raises(postgen.ConfigError) as caught:
        postgen.PostGenerator(**options)
    assert caught.value.code == "invalid_config"
    assert named in str(caught.value)
