"""postgen through Python: whole posts of one version, not stored, not cached."""

from __future__ import annotations

import asyncio

from workload import Recorder, arguments, drive

import postgen

# Posts have no token limit of their own here; this many words are about 300 tokens.
_WORDS_PER_TOKEN = 1.27
_LEAST_WORDS = 40


async def main() -> None:
    workload = arguments()
    recorder = Recorder(workload)
    options = {
        "llm": {
            "base_url": workload.url,
            "api_key": "bench",
            "default_model": workload.model,
            "token_param": "max_tokens",
            "max_in_flight": workload.concurrency,
            "stream": workload.stream,
        },
        "cache": {"url": "none:"},
        "max_pending_posts": 2 * workload.concurrency,
    }

    def request(max_tokens: int) -> dict[str, object]:
        return {
            "stock_code": "2330",
            "stock_name": "台積電",
            "kol_serial": 208,
            "versions": 1,
            "max_words": max(_LEAST_WORDS, round(max_tokens * _WORDS_PER_TOKEN)),
            "store": False,
        }

    async with postgen.PostGenerator(**options) as generator:

        async def whole(max_tokens: int) -> bool:
            return (await generator.agenerate(request(max_tokens))).ok

        async def streamed(max_tokens: int) -> bool:
            kind = ""
            async for event in generator.astream(request(max_tokens)):
                kind = event["type"]
                if kind == "delta":
                    recorder.deltas += 1
            return kind == "post"

        await drive(workload, recorder, streamed if workload.stream else whole)
    recorder.report("postgen, Python", postgen.__version__)


asyncio.run(main())
