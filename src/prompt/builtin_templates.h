// The built-in prompts, in the same form as those of prompts.dir.
#ifndef POSTGEN_SRC_PROMPT_BUILTIN_TEMPLATES_H_
#define POSTGEN_SRC_PROMPT_BUILTIN_TEMPLATES_H_

#include <string>

namespace postgen {

// Which prompt: one for each posting type, and one for the separate main call.
enum class PromptKind { kAnalysis, kInteraction, kPersonalized, kDraft };
inline constexpr PromptKind kPromptKinds[] = {PromptKind::kAnalysis, PromptKind::kInteraction,
                                              PromptKind::kPersonalized, PromptKind::kDraft};

struct TemplateTexts {
  std::string system;
  std::string user;
};

TemplateTexts BuiltinTemplates(PromptKind kind);

// What makes one version differ from the others; added to user templates that do not mention it.
std::string AngleTemplate();

}  // namespace postgen

#endif  // POSTGEN_SRC_PROMPT_BUILTIN_TEMPLATES_H_
