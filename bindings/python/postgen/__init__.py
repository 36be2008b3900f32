"""postgen: posts for stock forums, written by an LLM, every version of a post at once.

import postgen

with postgen.PostGenerator(
    llm={"base_url": url, "api_key": key}, store={"url": "sqlite:posts.db"}
) as generator:
    post = generator.generate({"stock_code": "2330", "stock_name": "台積電", "kol_serial": 208})
    print(post.title, post.content, post.cost_usd)
"""

from typing import TYPE_CHECKING

from ._core import version as __version__
from .errors import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    BudgetError,
    CancelledError,
    ConfigError,
    ConflictError,
    DeadlineError,
    Error,
    NotFoundError,
    OverloadedError,
    QuotaError,
    RateLimitError,
    StoreError,
    UpstreamRefusedError,
    VersionRejectedError,
)
from .generator import PostGenerator
from .post import Post

if TYPE_CHECKING:
    from .batch import Progress

__all__ = [
    "APIConnectionError",
    "APIResponseError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "BudgetError",
    "CancelledError",
    "ConfigError",
    "ConflictError",
    "DeadlineError",
    "Error",
    "NotFoundError",
    "OverloadedError",
    "Post",
    "PostGenerator",
    "Progress",
    "QuotaError",
    "RateLimitError",
    "StoreError",
    "UpstreamRefusedError",
    "VersionRejectedError",
    "__version__",
]


def __getattr__(name: str) -> object:
    """What few programs name is imported when they do."""
    if name == "Progress":
        from .batch import Progress

        return Progress
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
