"""The app's way of writing a post, as a baseline.

One post is six calls, one after the other: a main call, of whose text 200 characters become a
reference, and five versions, of which one is picked. Each call opens a connection of its own and
may use 2000 tokens; profile and row use a database connection of their own each time. Nothing here
is slower than it has to be for that: plain http.client and sqlite3, no retries, no waiting.
"""

from __future__ import annotations

import http.client
import json
import random
import sqlite3
import ssl
import time
import uuid
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

ANGLES = ("技術面", "籌碼面", "基本面", "市場情緒", "風險與策略")
MAX_TOKENS = 2000
_REFERENCE_CHARACTERS = 200
_TIMEOUT_S = 60

# Of post_records, those that the app fills.
COLUMNS = (
    "post_id",
    "created_at",
    "updated_at",
    "session_id",
    "kol_serial",
    "kol_nickname",
    "kol_persona",
    "stock_code",
    "stock_name",
    "title",
    "content",
    "content_md",
    "status",
    "commodity_tags",
    "generation_params",
    "alternative_versions",
    "trigger_type",
)


class Server(NamedTuple):
    base_url: str
    api_key: str
    model: str


class Reply(NamedTuple):
    text: str
    prompt_tokens: int
    completion_tokens: int


class AppPost(NamedTuple):
    timings_ms: dict[str, float]
    prompt_tokens: int
    completion_tokens: int


def create_database(path: Path, profiles: list[dict[str, Any]]) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"CREATE TABLE post_records ({', '.join(COLUMNS)})")
        database.execute("CREATE TABLE kol_profiles (serial PRIMARY KEY, profile)")
        database.executemany(
            "INSERT INTO kol_profiles VALUES (?, ?)",
            [(profile["serial"], json.dumps(profile)) for profile in profiles],
        )


def write_post(request: Mapping[str, Any], server: Server, database: Path) -> AppPost:
    """Raises OSError or ValueError when a call fails: the demonstration ends then."""
    watch = _StopWatch()
    request = json.loads(json.dumps(request))
    watch.lap("1_parse_request")

    profile = _read_profile(request, database)
    watch.lap("2_model_selection_db")

    main = call(server, _main_prompt(request, profile))
    watch.lap("3_gpt_generation")

    reference = main.text[:_REFERENCE_CHARACTERS]
    versions = [
        call(server, _version_prompt(request, profile, angle, reference)) for angle in ANGLES
    ]
    chosen = random.randrange(len(versions))
    watch.lap("4_alternative_versions")

    _write_row(request, [_title_and_body(version.text) for version in versions], chosen, database)
    watch.lap("5_database_write")

    calls = [main, *versions]
    return AppPost(
        watch.timings_ms(),
        sum(call.prompt_tokens for call in calls),
        sum(call.completion_tokens for call in calls),
    )


class _StopWatch:
    def __init__(self) -> None:
        self._laps: dict[str, float] = {}
        self._started = self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self._laps[name] = (now - self._last) * 1000
        self._last = now

    def timings_ms(self) -> dict[str, float]:
        return self._laps | {"total_time": (self._last - self._started) * 1000}


def call(server: Server, prompt: str) -> Reply:
    url = urlsplit(server.base_url)
    connection: http.client.HTTPConnection
    if url.scheme == "https":
        connection = http.client.HTTPSConnection(
            url.netloc, timeout=_TIMEOUT_S, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(url.netloc, timeout=_TIMEOUT_S)
    body = {
        "model": server.model,
        "messages": [
            {"role": "system", "content": "你是台灣股市論壇的寫手，文字自然，不用 Markdown。"},
            {"role": "user", "content": prompt},
        ],
        "max_tokens": MAX_TOKENS,
        "temperature": 1.0,
    }
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {server.api_key}"}
    with closing(connection):
        connection.request("POST", f"{url.path}/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        document = json.loads(response.read())
    if response.status != 200:
        raise ValueError(f"the server answered {response.status}")
    usage = document["usage"]
    return Reply(
        document["choices"][0]["message"]["content"],
        usage["prompt_tokens"],
        usage["completion_tokens"],
    )


def _main_prompt(request: Mapping[str, Any], profile: Mapping[str, Any]) -> str:
    return "\n".join(
        [
            f"請以{profile['persona']}的角度，"
            f"分析 {request['stock_name']}({request['stock_code']}) 今天的走勢與原因。",
            f"寫作者：{profile['nickname']}。{profile['prompt_persona']}{profile['prompt_style']}"
            f"語氣{profile['tone_style']}。常用詞：{profile['common_terms']}。"
            f"{profile['prompt_guardrails']}",
            f"觸發條件：{request['trigger_type']}",
            *_material(request),
            "相關新聞：無。重大事件：無。市場情緒：中性。資料來源：無。",
            "請依序寫出：一、題材與消息，說明今天的價量變化從何而來；二、基本面，營收、獲利與產業位置；"
            "三、技術面，型態、均線與量能；四、籌碼面，法人、主力與融資的動向；"
            "五、操作建議，進場、加碼與出場的條件；六、風險，哪些情況會推翻以上看法。",
            "段落之間要連貫，不用 Markdown，不用表情符號，不要條列，語句自然，像真人在論壇發文。",
            f"全文 {request['max_words']} 字以內，第一行是標題。",
        ]
    )


def _version_prompt(
    request: Mapping[str, Any], profile: Mapping[str, Any], angle: str, reference: str
) -> str:
    return "\n".join(
        [
            f"請以{profile['nickname']}（{profile['persona']}，{profile['tone_style']}）的口吻，"
            f"從「{angle}」寫一篇關於 {request['stock_name']}({request['stock_code']}) 的貼文。",
            f"常用詞：{profile['common_terms']}。口語：{profile['colloquial_terms']}。",
            f"觸發條件：{request['trigger_type']}",
            *_material(request),
            f"參考內容：{reference}",
            f"內容 {request['max_words']} 字以內。格式：",
            "標題：…",
            "內容：…",
        ]
    )


def _material(request: Mapping[str, Any]) -> list[str]:
    return [f"資料：{item}" for item in [*request.get("facts", []), *request.get("news", [])]]


def _title_and_body(text: str) -> tuple[str, str]:
    head, _, body = text.partition("\n")
    return head.removeprefix("標題：").strip(), body.strip().removeprefix("內容：").strip()


def _read_profile(request: Mapping[str, Any], path: Path) -> dict[str, Any]:
    with closing(sqlite3.connect(path)) as database:
        row = database.execute(
            "SELECT profile FROM kol_profiles WHERE serial = ?", (str(request["kol_serial"]),)
        ).fetchone()
    profile: dict[str, Any] = json.loads(row[0])
    return profile


def _write_row(
    request: Mapping[str, Any], versions: list[tuple[str, str]], chosen: int, path: Path
) -> None:
    now = datetime.now(UTC).isoformat()
    title, content = versions[chosen]
    alternatives = [
        {"title": title, "content": content, "angle": ANGLES[index], "version_number": index + 1}
        for index, (title, content) in enumerate(versions)
        if index != chosen
    ]
    values = (
        str(uuid.uuid4()),
        now,
        now,
        request.get("session_id"),
        request["kol_serial"],
        f"KOL-{request['kol_serial']}",
        request["kol_persona"],
        request["stock_code"],
        request["stock_name"],
        title,
        content,
        content,
        "draft",
        json.dumps([{"type": "Stock", "key": request["stock_code"], "bullOrBear": 0}]),
        json.dumps({"method": "manual", "posting_type": request["posting_type"]}),
        json.dumps(alternatives, ensure_ascii=False),
        request["trigger_type"],
    )
    with closing(sqlite3.connect(path)) as database, database:
        places = ", ".join("?" * len(COLUMNS))
        database.execute(f"INSERT INTO post_records VALUES ({places})", values)
