// Who writes: the profile's own words, or a sentence for the app's persona names.
#ifndef POSTGEN_SRC_PROMPT_PERSONA_H_
#define POSTGEN_SRC_PROMPT_PERSONA_H_

#include <string>
#include <string_view>

#include "postgen/types.h"

namespace postgen {

// A sentence for a persona name, the app's keys (technical) and its rows' values (技術派) alike; an
// unknown name is quoted; empty: for an empty name.
std::string DescribePersona(std::string_view name);

// The persona that counts: prompt_persona, else the profile's, else the request's, else the app's
// default (mixed), described. Never empty.
std::string PersonaOf(const PostRequest& request, const KolProfile* profile);

// The style that counts: prompt_style, else tone_style; empty: neither.
std::string StyleOf(const KolProfile* profile);

}  // namespace postgen

#endif  // POSTGEN_SRC_PROMPT_PERSONA_H_
