// Puts a reply's head together from the lines that libcurl hands out. Pure.
#ifndef POSTGEN_SRC_LLM_TRANSPORT_REPLY_HEAD_H_
#define POSTGEN_SRC_LLM_TRANSPORT_REPLY_HEAD_H_

#include <cstddef>
#include <string_view>

#include "llm/transport/http_transport.h"

namespace postgen {

class ReplyHead {
 public:
  enum class Line {
    kMore,      // the head goes on; or a trailer, which is ignored
    kComplete,  // that was the empty line after the headers of the final reply
    kTooLarge,  // more bytes of head than kMaxBytes, interim heads and trailers included
  };

  // libcurl stops at 300 KB; real heads have a few KB.
  static constexpr std::size_t kMaxBytes = std::size_t{256} << 10U;

  // The next line, its line end included. Heads of interim (1xx) replies are passed over; 101 is
  // not one of them, as what follows it is no HTTP.
  Line Push(std::string_view line);

  bool complete() const { return complete_; }
  const HttpHead& head() const { return head_; }  // REQUIRES: complete()
  void DropHeaders() { head_.headers = {}; }      // nobody needs them any more

 private:
  HttpHead head_;
  std::size_t bytes_ = 0;
  bool complete_ = false;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_TRANSPORT_REPLY_HEAD_H_
