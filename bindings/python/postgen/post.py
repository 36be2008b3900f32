"""A finished post, good or bad."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import Error, error_from_reply


class Post:
    """What came of one request. `reply` is the whole document; the rest are its parts.

    Of a failed post `title`, `content` and `post_id` are empty and `error` says why; `versions`,
    `usage` and `timings_ms` hold what was known when it ended.
    """

    __slots__ = ("error", "reply")

    reply: dict[str, Any]
    error: Error | None

    def __init__(self, reply: dict[str, Any]) -> None:
        self.reply = reply
        self.error = None if reply.get("success") is True else error_from_reply(reply)

    @property
    def ok(self) -> bool:
        return self.error is None

    @property
    def status(self) -> int:
        """The HTTP status that goes with the reply."""
        return 200 if self.error is None else self.error.status

    @property
    def post_id(self) -> str:
        return str(self.reply.get("post_id") or "")

    @property
    def title(self) -> str:
        return str(self._content.get("title") or "")

    @property
    def content(self) -> str:
        return str(self._content.get("content") or "")

    @property
    def versions(self) -> list[dict[str, Any]]:
        """One entry for each version asked for, failed ones included."""
        return list(self._facts.get("versions") or [])

    @property
    def usage(self) -> dict[str, int]:
        return dict(self._facts.get("usage") or {})

    @property
    def cost_usd(self) -> float | None:
        """None: no price is known for the model."""
        return self._facts.get("cost_usd")

    @property
    def timings_ms(self) -> dict[str, float]:
        return dict(self._facts.get("timings_ms") or {})

    @property
    def warnings(self) -> list[str]:
        return list(self._facts.get("warnings") or [])

    def raise_for_error(self) -> Post:
        """Itself, or its error raised."""
        if self.error is not None:
            raise self.error
        return self

    def __repr__(self) -> str:
        if self.error is not None:
            return f"<postgen.Post failed code={self.error.code!r}>"
        return f"<postgen.Post {self.post_id} title={self.title!r}>"

    @property
    def _content(self) -> Mapping[str, Any]:
        return self.reply.get("content") or {}

    @property
    def _facts(self) -> Mapping[str, Any]:
        return self.reply.get("postgen") or {}
