// Profile and request become messages: one set for each version, each with its own angle.
#ifndef POSTGEN_SRC_PROMPT_PROMPT_BUILDER_H_
#define POSTGEN_SRC_PROMPT_PROMPT_BUILDER_H_

#include <memory>
#include <string_view>
#include <vector>

#include "postgen/options.h"
#include "postgen/types.h"

namespace postgen {

// Thread-safe: constant after construction.
class PromptBuilder {
 public:
  // Reads the templates of options.dir (missing files: the built-in ones). Fails with
  // kInvalidConfig naming the file and the unknown placeholder.
  static Result<std::unique_ptr<PromptBuilder>> Create(const PromptOptions& options);
  virtual ~PromptBuilder() = default;

  // request.versions plans, numbered from 1; no two have the same messages. `profile` may be null
  // (unknown KOL). `draft`: the text of the separate main call, of which 200 characters are shown
  // as reference; empty: none.
  virtual std::vector<VersionPlan> Build(const PostRequest& request, const KolProfile* profile,
                                         std::string_view draft) const = 0;

  // The separate main call that `draft: true` asks for.
  virtual VersionPlan BuildDraft(const PostRequest& request, const KolProfile* profile) const = 0;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_PROMPT_PROMPT_BUILDER_H_
