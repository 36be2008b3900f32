// The JSON documents of postgen: requests and options in, results, errors and events out. Every
// door (C, Python, command line) goes through these functions, so that a document means the same
// everywhere.
//
//   auto request = postgen::ParseRequest(R"({"stock_code": "2330", "kol_serial": "KOL-208"})");
//   std::string reply = postgen::ResultToJson(*post);
#ifndef POSTGEN_JSON_H_
#define POSTGEN_JSON_H_

#include <string>
#include <string_view>

#include "postgen/event_queue.h"
#include "postgen/export.h"
#include "postgen/generator.h"
#include "postgen/options.h"
#include "postgen/types.h"

namespace postgen {

// Tolerant, as the app's callers need it: decimal strings and integral floats serve as integers,
// integers as string ids, null is absent, and so is an empty optional text; of duplicate fields the
// last one counts. Booleans are JSON's own and nothing else serves as one. Unknown fields are
// ignored; one within edit distance 2 of a known field adds a warning. Fails with
// Code::kInvalidRequest naming the field and the bound (body 1 MiB, strings 64 KiB, nesting 64,
// ...), never the value.
POSTGEN_EXPORT Result<PostRequest> ParseRequest(std::string_view json);

// The bounds of ParseRequest for a request built in C++.
POSTGEN_EXPORT Status ValidateRequest(const PostRequest& request);

// Strict: an unknown key is Code::kInvalidConfig naming it and the nearest known one. Options are
// nested as in options.h; null is absent. Checks every bound.
POSTGEN_EXPORT Result<Options> ParseOptions(std::string_view json);

// The bounds of ParseOptions for options built in C++; trims the API key.
POSTGEN_EXPORT Status ValidateOptions(Options* options);

// The app's reply and one more key, `postgen`; failed posts give the failure reply.
POSTGEN_EXPORT std::string ResultToJson(const PostResult& result);

// The failure reply for an error without a post: {success:false, message, detail, error_type,
// timestamp}, and under `postgen` the details that are known.
POSTGEN_EXPORT std::string ErrorToJson(const Error& error);

// One event: {type, call_id, version_number, ...}.
POSTGEN_EXPORT std::string EventToJson(const QueuedEvent& event);

POSTGEN_EXPORT std::string DiagnosesToJson(const std::vector<Diagnosis>& diagnoses);

// What the documents may hold: {"request": [{"name", "type", "default", "doc"}, ...], "options":
// [...], "codes": [{"name", "number", "http_status"}, ...]}. Types are string, int, number, bool,
// enum (with "values"), strings (an array of them), object, and json (an array or object that
// passes through unread); "min" and "max" bound a number, or a string's characters. Names of
// options are dotted. Doors build their flags, names and tables from it.
POSTGEN_EXPORT std::string SchemaJson();

// The built-in price table: {"as_of": "2026-06-21", "unit": "USD per 1M tokens",
// "models": {"gpt-4o-mini": {"input", "cached_input", "output"}, ...}}.
POSTGEN_EXPORT std::string PricesJson();

// --- What an LLM client or a store of yours exchanges where it is not written in C++

// {"model", "messages": [{"role", "content"}, ...], "max_tokens", "temperature", "timeout_ms",
// "posting_type", "angle", "version_number", "stock_code", "stock_name", "max_words"}. timeout_ms
// is what is left at `now`; absent values are null.
POSTGEN_EXPORT std::string LlmRequestToJson(const LlmRequest& request, TimePoint now);

// {"text"} and, where known, {"finish_reason", "model", "request_id", "usage": {"prompt_tokens",
// "completion_tokens", "cached_tokens"}}. Without a finish_reason it is "stop". Fails with
// Code::kProtocol naming the field.
POSTGEN_EXPORT Result<LlmReply> ParseLlmReply(std::string_view json);

// The columns of post_records; created_at is ISO 8601 with an offset, JSON columns are texts.
POSTGEN_EXPORT std::string PostRowToJson(const PostRow& row);

}  // namespace postgen

#endif  // POSTGEN_JSON_H_
