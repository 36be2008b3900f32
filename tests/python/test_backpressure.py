"""A reader that stays behind holds its own stream back, and no other."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import postgen

_DELTA = "量" * 10_000
_DELTAS = 2_000  # 60 MB, more than sockets take


class Server:
    """Answers each request with one long stream and counts what it could send, by stock code."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self.sent: dict[str, int] = {}
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        received = b""
        while b"0001" not in received and b"0002" not in received:
            received += connection.recv(65536)
        code = "0001" if b"0001" in received else "0002"
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        texts = ["標題：盤勢\n內容：", *([_DELTA] * _DELTAS)]
        try:
            for number, text in enumerate(texts):
                chunk = {"choices": [{"index": 0, "delta": {"content": text}}]}
                connection.sendall(f"data: {json.dumps(chunk)}\n\n".encode())
                self.sent[code] = number
            connection.sendall(b"data: [DONE]\n\n")
        except OSError:
            pass
        connection.close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


async def test_a_slow_reader_of_astream_holds_its_own_stream_back(
    server: Server, request_: dict[str, Any]
) -> None:
    go_on = asyncio.Event()
    waits = asyncio.Event()

    async def read(generator: postgen.PostGenerator, code: str, slow: bool) -> int:
        characters = 0
        async for event in generator.astream(request_ | {"stock_code": code, "versions": 1}):
            if event["type"] != "delta" or event["part"] != "content":
                continue
            characters += len(event["text"])
            if slow and not go_on.is_set():
                waits.set()
                await go_on.wait()
        assert event["type"] == "post"
        return characters

    async with postgen.PostGenerator(
        llm={
            "base_url": server.url,
            "api_key": "k",
            "early_stop": False,
            "max_reply_bytes": 256 << 20,
        },
        cache={"url": "none:"},
        default_deadline_ms=600_000,
    ) as generator:
        slow = asyncio.create_task(read(generator, "0001", True))
        await waits.wait()
        assert await read(generator, "0002", False) == len(_DELTA) * _DELTAS
        # The other one has all its text; this one's is still with the server, but for what was on
        # its way and what sockets hold.
        assert server.sent["0002"] == _DELTAS
        assert server.sent["0001"] < _DELTAS / 2
        go_on.set()
        assert await slow == len(_DELTA) * _DELTAS
