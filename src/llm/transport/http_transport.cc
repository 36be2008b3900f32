#include "llm/transport/http_transport.h"

namespace postgen {

std::string_view HttpHead::Find(std::string_view name) const {
  for (auto header = headers.rbegin(); header != headers.rend(); ++header) {
    if (header->first == name) return header->second;
  }
  return {};
}

}  // namespace postgen
