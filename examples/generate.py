import postgen

options = {
    "llm": {"provider": "template"},  # or {"base_url": ..., "api_key": ...}
    "store": {"url": "sqlite:posts.db"},
}
with postgen.PostGenerator(**options) as generator:
    post = generator.generate({"stock_code": "2330", "stock_name": "台積電", "kol_serial": 208})
    print(post.title, post.content, sep="\n")
    print(post.timings_ms["total_time"], "ms,", post.cost_usd, "USD")
