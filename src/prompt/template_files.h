// The templates of prompts.dir: <posting_type>.system.txt and <posting_type>.user.txt.
#ifndef POSTGEN_SRC_PROMPT_TEMPLATE_FILES_H_
#define POSTGEN_SRC_PROMPT_TEMPLATE_FILES_H_

#include <optional>
#include <string>

#include "postgen/error.h"

namespace postgen {

// Fails with kInvalidConfig if there is no such directory.
Status CheckTemplateDir(const std::string& dir);

// The text of dir/name; std::nullopt: there is no such file. Fails with kInvalidConfig naming the
// file if it cannot be read, is too large or is not UTF-8 text.
Result<std::optional<std::string>> ReadTemplateFile(const std::string& dir,
                                                    const std::string& name);

}  // namespace postgen

#endif  // POSTGEN_SRC_PROMPT_TEMPLATE_FILES_H_
