// Which of the finished versions becomes the post.
#ifndef POSTGEN_SRC_VERSION_CHOICE_H_
#define POSTGEN_SRC_VERSION_CHOICE_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "postgen/options.h"
#include "postgen/types.h"
#include "runtime/random.h"

namespace postgen {

// The version_number of the chosen one among those that are ok(); 0: none is. Random: uniform among
// those within the word limit if there is one, else among all that are good; model-written ones go
// before templates. `last_chosen` tells when a version's text was chosen before, as a number that
// rises, or 0: of the others, those go first for which it is smallest. Empty: no matter.
using LastChosen = std::function<std::uint64_t(const VersionResult&)>;
int ChooseVersion(Choice rule, const std::vector<VersionResult>& versions, Rng* rng,
                  const LastChosen& last_chosen = nullptr);

}  // namespace postgen

#endif  // POSTGEN_SRC_VERSION_CHOICE_H_
