#include "support/h2_connection.h"

#include <utility>

namespace postgen::testing {
namespace {

constexpr std::size_t kPrefaceSize = 24;  // "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
constexpr std::size_t kFrameHeadSize = 9;
constexpr std::size_t kMaxFrame = 16384;

enum FrameType : std::uint8_t {
  kData = 0,
  kHeaders = 1,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8,
};
constexpr std::uint8_t kAck = 1;
constexpr std::uint8_t kEndStream = 1;
constexpr std::uint8_t kEndHeaders = 4;

std::string U32(std::uint32_t number) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(number >> shift);
  return bytes;
}

std::uint32_t ReadU32(std::string_view bytes, std::size_t at, std::size_t size = 4) {
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < size; ++i) {
    number = number << 8U | static_cast<unsigned char>(bytes.at(at + i));
  }
  return number;
}

std::string Setting(std::uint16_t id, std::uint32_t value) {
  return U32(id).substr(2) + U32(value);
}

// HPACK: a literal without indexing, name and value plain.
std::string HeaderField(std::string_view name, std::string_view value) {
  std::string field(1, '\0');
  for (const std::string_view text : {name, value}) {
    field += static_cast<char>(text.size());
    field += text;
  }
  return field;
}

}  // namespace

H2Connection::H2Connection(RawConnection* peer, std::uint32_t max_streams) : peer_(peer) {
  constexpr std::uint16_t kMaxConcurrentStreams = 3;
  Frame(kSettings, 0, 0, Setting(kMaxConcurrentStreams, max_streams));
  Frame(kWindowUpdate, 0, 0, U32(1U << 30U));  // requests never wait for us
}

bool H2Connection::Fill(std::size_t size) {
  while (buffer_.size() < size) {
    std::optional<std::string> bytes = peer_->ReadSome();
    if (!bytes) return false;
    buffer_ += *bytes;
  }
  return true;
}

std::optional<H2Event> H2Connection::Next(Gate* unless) {
  if (!greeted_) {
    if (!Fill(kPrefaceSize)) return std::nullopt;
    buffer_.erase(0, kPrefaceSize);
    greeted_ = true;
  }
  while (true) {
    if (unless != nullptr && buffer_.empty()) {
      const std::optional<std::string> bytes = peer_->ReadSome(unless);
      if (!bytes) return std::nullopt;
      if (bytes->empty()) return H2Event{H2Event::Kind::kGate, 0, 0, {}};
      buffer_ += *bytes;
    }
    if (!Fill(kFrameHeadSize)) return std::nullopt;
    const std::size_t size = ReadU32(buffer_, 0, 3);
    const auto type = static_cast<std::uint8_t>(buffer_[3]);
    const auto flags = static_cast<std::uint8_t>(buffer_[4]);
    const std::uint32_t stream = ReadU32(buffer_, 5) & 0x7FFFFFFFU;
    if (!Fill(kFrameHeadSize + size)) return std::nullopt;
    const std::string payload = buffer_.substr(kFrameHeadSize, size);
    buffer_.erase(0, kFrameHeadSize + size);
    switch (type) {
      case kSettings:
        if ((flags & kAck) == 0) Frame(kSettings, kAck, 0, "");
        break;
      case kPing:
        if ((flags & kAck) != 0) break;
        Frame(kPing, kAck, 0, payload);
        return H2Event{H2Event::Kind::kPing, 0, 0, {}};
      case kRstStream:
        bodies_.erase(stream);
        return H2Event{H2Event::Kind::kReset, stream, ReadU32(payload, 0), {}};
      case kHeaders:
      case kData:
        if (type == kData) bodies_[stream] += payload;
        if ((flags & kEndStream) == 0) break;
        return H2Event{H2Event::Kind::kRequest, stream, 0, std::exchange(bodies_[stream], {})};
      default: break;
    }
  }
}

void H2Connection::LimitStreams(std::uint32_t max_streams) {
  constexpr std::uint16_t kMaxConcurrentStreams = 3;
  Frame(kSettings, 0, 0, Setting(kMaxConcurrentStreams, max_streams));
}

void H2Connection::Head(std::uint32_t stream, std::string_view content_type) {
  constexpr char kStatus200 = static_cast<char>(0x88);  // in HPACK's static table
  Frame(kHeaders, kEndHeaders, stream, kStatus200 + HeaderField("content-type", content_type));
}

void H2Connection::Data(std::uint32_t stream, std::string_view bytes, bool end) {
  do {
    const std::string_view piece = bytes.substr(0, kMaxFrame);
    bytes.remove_prefix(piece.size());
    Frame(kData, end && bytes.empty() ? kEndStream : 0, stream, piece);
  } while (!bytes.empty());
}

void H2Connection::Reset(std::uint32_t stream, std::uint32_t error_code) {
  Frame(kRstStream, 0, stream, U32(error_code));
}

void H2Connection::GoAway(std::uint32_t last_stream, std::uint32_t error_code) {
  Frame(kGoAway, 0, 0, U32(last_stream) + U32(error_code));
}

void H2Connection::Ping() { Frame(kPing, 0, 0, std::string(8, 'p')); }

void H2Connection::Frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream,
                         std::string_view payload) {
  std::string frame = U32(static_cast<std::uint32_t>(payload.size())).substr(1);
  frame += static_cast<char>(type);
  frame += static_cast<char>(flags);
  frame += U32(stream);
  frame += payload;
  peer_->Send(frame);
}

}  // namespace postgen::testing
