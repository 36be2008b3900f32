// What a text of a request or of the options may hold. Every check returns what the text must be,
// to be put behind the field's name in a message, or nothing if all is well. The texts themselves
// never appear in it: they may be secrets.
#ifndef POSTGEN_SRC_REQUEST_TEXT_CHECK_H_
#define POSTGEN_SRC_REQUEST_TEXT_CHECK_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace postgen {

inline constexpr std::size_t kMaxStringBytes = 64UL * 1024;

using TextCheck = std::string_view (*)(std::string_view);

// The rules for every text: length, UTF-8, no NUL.
std::string_view TextViolation(std::string_view text);

// No control characters: names of models, files and the like.
std::string_view PlainText(std::string_view text);

// Not empty, no control characters.
std::string_view ModelName(std::string_view text);

std::string_view ApiKey(std::string_view text);
std::string_view Provider(std::string_view text);
// Scheme and characters only; the transport takes the URL apart.
std::string_view BaseUrl(std::string_view text);
std::string_view ProxyUrl(std::string_view text);
std::string_view CacheUrl(std::string_view text);
std::string_view SharedUrl(std::string_view text);
std::string_view StoreUrl(std::string_view text);
std::string_view ProfilesUrl(std::string_view text);
std::string_view HeaderName(std::string_view text);
std::string_view HeaderValue(std::string_view text);

// Without ASCII white space at both ends.
std::string_view Trim(std::string_view text);

// An unknown name for a message: cut short, and "?" for every byte that no name of ours has.
std::string Printable(std::string_view name);

}  // namespace postgen

#endif  // POSTGEN_SRC_REQUEST_TEXT_CHECK_H_
