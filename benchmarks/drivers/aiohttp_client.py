"""aiohttp with as little around it as a reply needs: what one writes who does without an SDK."""

from __future__ import annotations

import asyncio
import json

import aiohttp
from workload import Recorder, arguments, drive


async def main() -> None:
    workload = arguments()
    recorder = Recorder(workload)
    url = f"{workload.url}/chat/completions"
    body = {
        "model": workload.model,
        "messages": [{"role": "user", "content": workload.prompt}],
    }
    streaming = {"stream": True, "stream_options": {"include_usage": True}}
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        headers={"authorization": "Bearer bench"},
        timeout=aiohttp.ClientTimeout(total=600),
    ) as session:

        async def whole(max_tokens: int) -> bool:
            async with session.post(url, json=body | {"max_tokens": max_tokens}) as reply:
                document = await reply.json()
            return bool(document["choices"][0]["message"]["content"])

        async def streamed(max_tokens: int) -> bool:
            request = body | streaming | {"max_tokens": max_tokens}
            finished = False
            async with session.post(url, json=request) as reply:
                async for line in reply.content:
                    if not line.startswith(b"data: {"):
                        continue
                    choices = json.loads(line[6:])["choices"]
                    if choices:
                        if choices[0]["delta"].get("content"):
                            recorder.deltas += 1
                        finished = finished or choices[0]["finish_reason"] is not None
            return finished

        await drive(workload, recorder, streamed if workload.stream else whole)
    recorder.report("aiohttp", aiohttp.__version__)


asyncio.run(main())
