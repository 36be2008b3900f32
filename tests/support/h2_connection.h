// The server's side of one HTTP/2 connection, frame by frame, for scripts of RawServer: what a
// well-behaved library would not let a server do.
//
//   RawServer server([](RawConnection& peer) {
//     H2Connection h2(&peer);
//     while (const auto event = h2.Next()) {
//       if (event->kind == H2Event::Kind::kRequest) h2.Reset(event->stream, kH2RefusedStream);
//     }
//   }, identity);                                      // whose alpn is "h2"
//
// Requests are told by their streams: their header blocks are not decoded.
#ifndef POSTGEN_TESTS_SUPPORT_H2_CONNECTION_H_
#define POSTGEN_TESTS_SUPPORT_H2_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "support/raw_server.h"

namespace postgen::testing {

inline constexpr std::uint32_t kH2NoError = 0;
inline constexpr std::uint32_t kH2InternalError = 2;
inline constexpr std::uint32_t kH2RefusedStream = 7;
inline constexpr std::uint32_t kH2Cancel = 8;

struct H2Event {
  enum class Kind {
    kRequest,  // a stream's request has come whole
    kReset,    // the client gave up a stream
    kPing,     // answered already
    kGate,     // nothing has come, and the gate is open
  };
  Kind kind;
  std::uint32_t stream = 0;
  std::uint32_t error_code = 0;  // of a reset
  std::string body;              // of a request
};

class H2Connection {
 public:
  // Greets with SETTINGS; `max_streams`: SETTINGS_MAX_CONCURRENT_STREAMS.
  explicit H2Connection(RawConnection* peer, std::uint32_t max_streams = 100);

  // std::nullopt: the client closed, or the server is ending. With a gate, waits no longer than it
  // is shut.
  std::optional<H2Event> Next(Gate* unless = nullptr);

  void LimitStreams(std::uint32_t max_streams);
  void Head(std::uint32_t stream, std::string_view content_type = "text/event-stream");
  void Data(std::uint32_t stream, std::string_view bytes, bool end);
  void Reset(std::uint32_t stream, std::uint32_t error_code);
  void GoAway(std::uint32_t last_stream, std::uint32_t error_code = kH2NoError);
  void Ping();

 private:
  bool Fill(std::size_t size);
  void Frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream, std::string_view payload);

  RawConnection* const peer_;
  std::string buffer_;  // received and not read
  bool greeted_ = false;
  std::map<std::uint32_t, std::string> bodies_;  // of requests that have begun
};

}  // namespace postgen::testing

#endif  // POSTGEN_TESTS_SUPPORT_H2_CONNECTION_H_
