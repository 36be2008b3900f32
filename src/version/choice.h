// Which of the finished versions becomes the post.
#ifndef POSTGEN_SRC_VERSION_CHOICE_H_
#define POSTGEN_SRC_VERSION_CHOICE_H_

#include <vector>

#include "postgen/options.h"
#include "postgen/types.h"
#include "runtime/random.h"

namespace postgen {

// The version_number of the chosen one among those that are ok(); 0: none is. Random: uniform among
// those within the word limit if there is one, else among all that are good; model-written ones go
// before templates.
int ChooseVersion(Choice rule, const std::vector<VersionResult>& versions, Rng* rng);

}  // namespace postgen

#endif  // POSTGEN_SRC_VERSION_CHOICE_H_
