"""How many deltas a second come out of `astream` when nothing paces them.

A server in a process of its own sends one recorded reply, a token a chunk, to every call as fast as
it is taken. Deltas of one version that wait together come as one event, so there are two figures:
deltas that the server sent, and events that Python was given for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import resource
import socket
import threading
import time

import postgen

STREAMS_AT_ONCE = 500
STREAMS = 1500
DELTAS_A_STREAM = 400

_HEAD_END = b"\r\n\r\n"


def recorded_reply() -> bytes:
    texts = ["標題：", "盤勢", "\n", "內容："]
    texts += ["量"] * (DELTAS_A_STREAM - len(texts))
    events = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in texts]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-4o-mini"}
    lines = [f"data: {json.dumps(head | event, ensure_ascii=False)}\n\n" for event in events]
    body = "".join([*lines, "data: [DONE]\n\n"]).encode()
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        b"content-length: %d\r\n\r\n" % len(body)
    ) + body


def serve(listener: socket.socket) -> None:
    reply = recorded_reply()

    def answer(connection: socket.socket) -> None:
        # A client that goes may reset its connection.
        with contextlib.suppress(ConnectionResetError):
            waiting = b""
            while received := connection.recv(65536):
                waiting += received
                head, end, rest = waiting.partition(_HEAD_END)
                if not end:
                    continue
                length = next(
                    int(line.split(b":")[1])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length:")
                )
                if len(rest) >= length:
                    waiting = rest[length:]
                    connection.sendall(reply)

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


async def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=STREAMS_AT_ONCE)
    server = multiprocessing.get_context("fork").Process(
        target=serve, args=(listener,), daemon=True
    )
    server.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    generator = postgen.PostGenerator(
        llm={"base_url": url, "api_key": "bench", "max_in_flight": STREAMS_AT_ONCE},
        cache={"url": "none:"},
    )
    request = {"stock_code": "2330", "kol_serial": 208, "versions": 1, "max_words": 4000}
    left = STREAMS
    events = 0

    async def place() -> None:
        nonlocal left, events
        while left > 0:
            left -= 1
            characters = 0
            async for event in generator.astream(request):
                events += 1
                if event["type"] == "delta":
                    characters += len(event["text"])
            assert event["type"] == "post", event["result"]["message"]
            assert characters >= DELTAS_A_STREAM - 4

    usage = resource.getrusage(resource.RUSAGE_SELF)
    before = usage.ru_utime + usage.ru_stime
    started = time.perf_counter()
    await asyncio.gather(*(place() for _ in range(STREAMS_AT_ONCE)))
    wall_s = time.perf_counter() - started
    usage = resource.getrusage(resource.RUSAGE_SELF)
    await generator.aclose()
    server.terminate()
    print(
        json.dumps(
            {
                "deltas_per_s": STREAMS * DELTAS_A_STREAM / wall_s,
                "events_per_s": events / wall_s,
                "cpu_us_per_delta": (usage.ru_utime + usage.ru_stime - before)
                / (STREAMS * DELTAS_A_STREAM)
                * 1e6,
            }
        )
    )


asyncio.run(main())
