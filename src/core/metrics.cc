#include "core/metrics.h"

#include "json/json_writer.h"

namespace postgen {
namespace {

void WriteByCode(JsonWriter* json, const std::map<Code, std::int64_t>& counts) {
  json->BeginObject();
  for (const auto& [code, count] : counts) json->Key(CodeName(code)).Int(count);
  json->EndObject();
}

void WriteSpool(const SpoolStatus& spool, JsonWriter* json) {
  json->Key("spool").BeginObject();
  json->Key("open").Int(spool.totals.open);
  json->Key("waiting").Int(spool.totals.ready);
  json->Key("refused").Int(spool.totals.refused);
  json->Key("bytes").Int(spool.totals.bytes);
  json->Key("moved").Int(spool.moved);
  json->Key("adopted").Int(spool.adopted);
  json->Key("damaged_files").Int(spool.set_aside);
  json->Key("files_of_other_stores").Int(spool.of_other_stores);
  json->Key("files_of_others_at_work").Int(spool.of_others_at_work);
  json->EndObject();
}

void WriteBudget(const SpendingBudget::View& budget, JsonWriter* json) {
  json->Key("budget").BeginObject();
  json->Key("limit_usd").Fixed(static_cast<double>(budget.limit) / 1e6, 6);
  json->Key("spent_today_usd").Fixed(static_cast<double>(budget.spent) / 1e6, 6);
  json->Key("ledger_away").Int(budget.away ? 1 : 0);
  json->Key("posts_refused").Int(budget.refused);
  json->EndObject();
}

}  // namespace

std::string RedisJson(const RedisClient::View& view, std::optional<std::int64_t> processes) {
  std::string out;
  JsonWriter json(&out);
  json.BeginObject();
  json.Key("connected").Int(view.connected ? 1 : 0);
  json.Key("connects").Int(view.connects);
  json.Key("away").Int(view.away);
  json.Key("errors").BeginObject();
  for (const auto& [word, count] : view.errors) json.Key(word).Int(count);
  json.EndObject();
  if (processes) json.Key("processes").Int(*processes);
  json.EndObject();
  return out;
}

void Metrics::PostStarted() {
  const MutexLock lock(&mutex_);
  ++counters_.posts_started;
  ++counters_.posts_pending;
}

void Metrics::PostEnded(const PostResult& result) {
  const MutexLock lock(&mutex_);
  --counters_.posts_pending;
  if (result.ok()) {
    ++counters_.posts_ok;
  } else {
    ++counters_.posts_failed[result.error->code];
  }
  if (result.stored == Stored::kStored) ++counters_.posts_stored;
  if (result.stored == Stored::kSpooled) ++counters_.posts_spooled;
  counters_.attempts += result.draft_attempts;
  for (const VersionResult& version : result.versions) {
    if (version.ok()) {
      ++counters_.versions_ok;
    } else {
      ++counters_.versions_failed[version.error->code];
    }
    counters_.attempts += version.attempts;
  }
  counters_.tokens.prompt_tokens += result.usage.prompt_tokens;
  counters_.tokens.completion_tokens += result.usage.completion_tokens;
  counters_.tokens.cached_tokens += result.usage.cached_tokens;
  counters_.cost_usd += result.cost_usd.value_or(0);
  counters_.stage_ms.parse_request_ms += result.timings.parse_request_ms;
  counters_.stage_ms.model_selection_db_ms += result.timings.model_selection_db_ms;
  counters_.stage_ms.gpt_generation_ms += result.timings.gpt_generation_ms;
  counters_.stage_ms.alternative_versions_ms += result.timings.alternative_versions_ms;
  counters_.stage_ms.database_write_ms += result.timings.database_write_ms;
  counters_.stage_ms.total_time_ms += result.timings.total_time_ms;
}

void Metrics::PostRefused(Code code) {
  const MutexLock lock(&mutex_);
  ++counters_.posts_failed[code];
}

std::string Metrics::ToJson(const MetricsParts& parts) const {
  const MutexLock lock(&mutex_);
  std::string out;
  JsonWriter json(&out);
  json.BeginObject();
  json.Key("posts").BeginObject();
  json.Key("started").Int(counters_.posts_started);
  json.Key("pending").Int(counters_.posts_pending);
  json.Key("ok").Int(counters_.posts_ok);
  json.Key("stored").Int(counters_.posts_stored);
  json.Key("spooled").Int(counters_.posts_spooled);
  json.Key("failed");
  WriteByCode(&json, counters_.posts_failed);
  json.EndObject();
  json.Key("versions").BeginObject();
  json.Key("ok").Int(counters_.versions_ok);
  json.Key("attempts").Int(counters_.attempts);
  json.Key("failed");
  WriteByCode(&json, counters_.versions_failed);
  json.EndObject();
  json.Key("tokens").BeginObject();
  json.Key("prompt").Int(counters_.tokens.prompt_tokens);
  json.Key("completion").Int(counters_.tokens.completion_tokens);
  json.Key("cached").Int(counters_.tokens.cached_tokens);
  json.EndObject();
  json.Key("cost_usd").Fixed(counters_.cost_usd, 9);
  json.Key("cache").BeginObject();
  json.Key("hits").Int(parts.cache.hits);
  json.Key("misses").Int(parts.cache.misses);
  json.Key("joined").Int(parts.cache.joined);
  json.Key("awaited").Int(parts.cache.awaited);
  json.Key("too_late").Int(parts.cache.too_late);
  json.EndObject();
  json.Key("stage_ms").BeginObject();
  json.Key("1_parse_request").Fixed(counters_.stage_ms.parse_request_ms, 3);
  json.Key("2_model_selection_db").Fixed(counters_.stage_ms.model_selection_db_ms, 3);
  json.Key("3_gpt_generation").Fixed(counters_.stage_ms.gpt_generation_ms, 3);
  json.Key("4_alternative_versions").Fixed(counters_.stage_ms.alternative_versions_ms, 3);
  json.Key("5_database_write").Fixed(counters_.stage_ms.database_write_ms, 3);
  json.Key("total_time").Fixed(counters_.stage_ms.total_time_ms, 3);
  json.EndObject();
  if (!parts.llm.empty()) json.Key("llm").Raw(parts.llm);
  if (!parts.redis.empty()) json.Key("redis").Raw(parts.redis);
  if (!parts.shared.empty()) json.Key("shared").Raw(parts.shared);
  if (parts.spool.has_value()) WriteSpool(*parts.spool, &json);
  if (parts.budget.has_value()) WriteBudget(*parts.budget, &json);
  json.EndObject();
  return out;
}

}  // namespace postgen
