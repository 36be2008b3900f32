// One of the processes of limits_harness.py: makes posts for so long, so many at a time, and says
// how it went.
//
//   postgen_limits_worker OPTIONS_JSON SECONDS POSTS_AT_ONCE
//
// prints the generator's metrics. Posts that have not ended by then are cancelled.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#include "postgen/postgen.h"

namespace {

postgen::PostRequest NextRequest(int number) {
  postgen::PostRequest request;
  request.stock_code = "2330";
  request.stock_name = "台積電";
  request.kol_serial = 200 + number % 100;
  request.deadline_ms = 600000;
  return request;
}

class Stream final : public postgen::Observer, public std::enable_shared_from_this<Stream> {
 public:
  Stream(postgen::PostGenerator* generator, int number) : generator_(generator), number_(number) {}

  void Start() { generator_->Start(NextRequest(number_++), shared_from_this(), false, false); }
  // The next post begins where one has ended.
  void OnEvent(const postgen::Event& event) override {
    const bool last =
        event.type == postgen::Event::Type::kPost || event.type == postgen::Event::Type::kError;
    if (last && !(event.result->error && event.result->error->code == postgen::Code::kClosed))
      Start();
  }

 private:
  postgen::PostGenerator* const generator_;
  int number_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  auto options = postgen::ParseOptions(argv[1]);
  if (!options.ok()) {
    std::fprintf(stderr, "%s\n", options.error().message.c_str());
    return 2;
  }
  auto generator = postgen::PostGenerator::Create(*options);
  if (!generator.ok()) {
    std::fprintf(stderr, "%s\n", generator.error().message.c_str());
    return 2;
  }
  const int streams = std::atoi(argv[3]);
  for (int i = 0; i < streams; ++i) {
    std::make_shared<Stream>(generator->get(), i * 1000)->Start();
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(std::atof(argv[2])));
  const std::string metrics = (*generator)->MetricsJson();
  (void)(*generator)->Close(std::chrono::milliseconds(0));
  std::puts(metrics.c_str());
  return 0;
}
