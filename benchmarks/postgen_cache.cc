// What an answer from the cache costs in C++: a hit in the memory cache with the key at hand, and a
// whole Generate() of five cached versions, no store. `--url` is where they are written first.
#include <postgen/postgen.h>
#include <postgen/response_cache.h>
#include <postgen/version.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kEntries = 1000;
constexpr int kHits = 1000000;
constexpr int kPosts = 5000;
constexpr int kWarmUp = 500;

double Microseconds(Clock::duration time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

double MeasureHit() {
  const auto cache = postgen::NewMemoryCache(64U << 20U);
  std::vector<postgen::CacheKey> keys(kEntries);
  for (std::uint32_t i = 0; i < kEntries; ++i) {
    // As SHA-256 would: all bytes differ.
    for (std::size_t at = 0; at < keys[i].size(); ++at) {
      keys[i][at] = static_cast<std::uint8_t>((i + 1) * 2654435761U >> (at % 24));
    }
    cache->Put(keys[i], std::string(1000, 'x'), std::chrono::hours(1));
  }
  std::size_t bytes = 0;
  const auto start = Clock::now();
  for (int i = 0; i < kHits; ++i) {
    cache->Get(keys[static_cast<std::size_t>(i) % keys.size()],
               [&bytes](const std::shared_ptr<const std::string>& hit) {
                 if (hit != nullptr) bytes += hit->size();
               });
  }
  const double each = Microseconds(Clock::now() - start) / kHits;
  return bytes == std::size_t{kHits} * 1000 ? each : -1;
}

int Main(int argc, char** argv) {
  if (argc != 3 || std::strcmp(argv[1], "--url") != 0) return 2;
  postgen::Options options;
  options.llm.base_url = argv[2];
  options.llm.api_key = "bench";
  const auto generator = postgen::PostGenerator::Create(options);
  if (!generator.ok()) {
    std::fprintf(stderr, "%s\n", generator.error().message.c_str());
    return 2;
  }
  postgen::PostRequest request;
  request.stock_code = "2330";
  request.stock_name = "台積電";
  request.kol_serial = 208;
  std::vector<double> times;
  int failures = 0;
  for (int i = -kWarmUp; i < kPosts; ++i) {
    const auto start = Clock::now();
    const auto post = (*generator)->Generate(request);
    const double time = Microseconds(Clock::now() - start);
    if (i > -kWarmUp && (!post.ok() || !post->from_cache)) ++failures;
    if (i >= 0) times.push_back(time);
  }
  std::sort(times.begin(), times.end());
  std::printf(
      "{\"version\": \"%s\", \"hit_us\": %.4f, \"generate_us\": %.2f, \"generate_p99_us\": %.2f, "
      "\"failures\": %d}\n",
      POSTGEN_VERSION, MeasureHit(), times[times.size() / 2], times[times.size() * 99 / 100],
      failures);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return Main(argc, argv); }
