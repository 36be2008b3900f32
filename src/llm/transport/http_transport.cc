#include "llm/transport/http_transport.h"

#include <algorithm>

namespace postgen {

void HttpHeaders::Add(std::string_view name, std::string_view value) {
  const std::size_t begin = text_.size();
  text_.append(name).append(value);
  const auto first = text_.begin() + static_cast<std::ptrdiff_t>(begin);
  std::transform(first, first + static_cast<std::ptrdiff_t>(name.size()), first,
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  fields_.push_back({begin, name.size(), value.size()});
}

std::string_view HttpHeaders::Find(std::string_view name) const {
  const std::string_view text = text_;
  for (auto field = fields_.rbegin(); field != fields_.rend(); ++field) {
    if (field->name_size == name.size() && text.substr(field->begin, name.size()) == name) {
      return text.substr(field->begin + name.size(), field->value_size);
    }
  }
  return {};
}

}  // namespace postgen
