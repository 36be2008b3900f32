"""openai-python, asynchronous, as its documentation uses it."""

from __future__ import annotations

import asyncio

import openai
from workload import Recorder, arguments, drive


async def main() -> None:
    workload = arguments()
    recorder = Recorder(workload)
    messages = [{"role": "user", "content": workload.prompt}]
    async with openai.AsyncOpenAI(base_url=workload.url, api_key="bench", max_retries=0) as client:

        async def whole(max_tokens: int) -> bool:
            reply = await client.chat.completions.create(
                model=workload.model, messages=messages, max_tokens=max_tokens
            )
            return bool(reply.choices[0].message.content)

        async def streamed(max_tokens: int) -> bool:
            finished = False
            async for chunk in await client.chat.completions.create(
                model=workload.model,
                messages=messages,
                max_tokens=max_tokens,
                stream=True,
                stream_options={"include_usage": True},
            ):
                if chunk.choices:
                    if chunk.choices[0].delta.content:
                        recorder.deltas += 1
                    finished = finished or chunk.choices[0].finish_reason is not None
            return finished

        await drive(workload, recorder, streamed if workload.stream else whole)
    recorder.report("openai-python", openai.__version__)


asyncio.run(main())
