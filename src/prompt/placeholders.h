// What the placeholders of the prompt templates stand for. The list for template authors is in
// docs/prompts.md; a test compares the two.
#ifndef POSTGEN_SRC_PROMPT_PLACEHOLDERS_H_
#define POSTGEN_SRC_PROMPT_PLACEHOLDERS_H_

#include <string>
#include <string_view>
#include <vector>

#include "postgen/types.h"
#include "prompt/angles.h"

namespace postgen {

// What one prompt is made of.
struct PromptInput {
  const PostRequest& request;
  const KolProfile* profile;  // null: unknown KOL
  std::string_view draft;
  std::string_view angle;
  std::string_view angle_guidance;
  int version_number;
};

bool IsPlaceholder(std::string_view name);

// The value, cleaned of control and invisible characters; texts that may be long and come from
// elsewhere are fenced as data. Empty: there is none. REQUIRES: IsPlaceholder(name).
std::string PlaceholderValue(std::string_view name, const PromptInput& input);

// Does it tell the versions of a post apart?
bool DependsOnVersion(std::string_view placeholder);

// Every name, lists with their first item: "news[0]".
std::vector<std::string> PlaceholderNames();

}  // namespace postgen

#endif  // POSTGEN_SRC_PROMPT_PLACEHOLDERS_H_
