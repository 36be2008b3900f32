// The JSON of chat completions: stream chunks, whole replies and error bodies. Every field is
// optional, as servers really leave each of them out; what is there must have the right type.
#ifndef POSTGEN_SRC_LLM_WIRE_COMPLETION_PARSER_H_
#define POSTGEN_SRC_LLM_WIRE_COMPLETION_PARSER_H_

#include <memory>
#include <optional>
#include <string_view>

#include "llm/wire/provider_error.h"
#include "llm/wire/surrogates.h"
#include "postgen/error.h"
#include "postgen/types.h"

namespace postgen {

// What one document says of our one choice. Views are borrowed until the parser's next call.
struct CompletionPart {
  bool has_choice = false;
  std::string_view content;
  std::string_view refusal;
  std::string_view finish_reason;  // empty: none yet
  std::string_view model;
  bool reasoning = false;  // tells of thinking, whose text we do not want
  std::optional<Usage> usage;
  std::optional<ProviderError> error;  // the provider failed after a reply that began well
};

// Keeps its buffers between calls: one parser serves all the calls of a client. Not thread-safe.
class CompletionParser {
 public:
  CompletionParser();
  ~CompletionParser();

  // One event of a stream, or a whole reply (the fields of both are looked for in both). `joiner`
  // belongs to the stream; null for a whole reply. Fails with kProtocol (not JSON, a wrong type, a
  // choice that we did not ask for), kEncoding (not UTF-8, half a character, NUL) or kNomem.
  Result<CompletionPart> Parse(std::string_view json, SurrogateJoiner* joiner);

  // The body of a failed reply; also one that is not JSON, of which nothing is known then.
  ProviderError ParseError(std::string_view body);

 private:
  struct Scratch;
  std::unique_ptr<Scratch> scratch_;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_WIRE_COMPLETION_PARSER_H_
