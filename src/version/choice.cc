#include "version/choice.h"

#include <algorithm>
#include <cstddef>
#include <limits>

namespace postgen {
namespace {

using Candidates = std::vector<const VersionResult*>;

// Leaves only those that `wanted` likes, if it likes any.
template <typename Predicate>
void Prefer(Candidates* candidates, Predicate wanted) {
  if (std::none_of(candidates->begin(), candidates->end(), wanted)) return;
  std::erase_if(*candidates, [&](const VersionResult* version) { return !wanted(version); });
}

// Leaves only those that were not chosen for longest.
void PreferUnused(Candidates* candidates, const LastChosen& last_chosen) {
  std::uint64_t longest_ago = std::numeric_limits<std::uint64_t>::max();
  std::vector<std::uint64_t> chosen;
  for (const VersionResult* version : *candidates) {
    chosen.push_back(last_chosen(*version));
    longest_ago = std::min(longest_ago, chosen.back());
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < candidates->size(); ++i) {
    if (chosen[i] == longest_ago) (*candidates)[kept++] = (*candidates)[i];
  }
  candidates->resize(kept);
}

int ChooseRandom(const std::vector<VersionResult>& versions, Rng* rng,
                 const LastChosen& last_chosen) {
  Candidates candidates;
  for (const VersionResult& version : versions) {
    if (version.ok()) candidates.push_back(&version);
  }
  if (candidates.empty()) return 0;
  Prefer(&candidates, [](const VersionResult* v) { return v->source != Source::kTemplate; });
  Prefer(&candidates, [](const VersionResult* v) { return v->within_limit; });
  if (last_chosen) PreferUnused(&candidates, last_chosen);
  // By number, whatever order they finished in, and without a library's distribution: a seed
  // chooses the same version everywhere. The modulo's bias is 2^-60.
  const auto index = static_cast<std::ptrdiff_t>((*rng)() % candidates.size());
  std::nth_element(candidates.begin(), candidates.begin() + index, candidates.end(),
                   [](const VersionResult* a, const VersionResult* b) {
                     return a->version_number < b->version_number;
                   });
  return candidates[static_cast<std::size_t>(index)]->version_number;
}

}  // namespace

int ChooseVersion(Choice rule, const std::vector<VersionResult>& versions, Rng* rng,
                  const LastChosen& last_chosen) {
  switch (rule) {
    case Choice::kRandom: return ChooseRandom(versions, rng, last_chosen);
  }
  return 0;
}

}  // namespace postgen
