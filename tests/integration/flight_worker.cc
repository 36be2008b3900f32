// One of several processes that ask for the same post at once, for single_flight_test.cc:
//
//   postgen_flight_worker BASE_URL CACHE_URL SHARED_URL POSTS
//
// Says "ready", waits for SIGUSR1, makes all posts at once, and says a line for each, "post ID COST
// TEXT" or "error MESSAGE", then "metrics JSON".
#include <signal.h>

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "postgen/postgen.h"

namespace postgen {
namespace {

int Main(int argc, char** argv) {
  if (argc != 5) return 2;
  // Before any thread is there: theirs is the same.
  sigset_t go;
  sigemptyset(&go);
  sigaddset(&go, SIGUSR1);
  sigprocmask(SIG_BLOCK, &go, nullptr);

  Options options;
  options.llm.base_url = argv[1];
  options.llm.api_key = "test";
  options.cache.url = argv[2];
  options.shared.url = argv[3];
  const auto generator = PostGenerator::Create(options);
  if (!generator.ok()) {
    std::cout << "error " << generator.error().message << std::endl;
    return 2;
  }
  std::cout << "ready" << std::endl;
  int received = 0;
  sigwait(&go, &received);

  PostRequest request;
  request.stock_code = "2330";
  request.stock_name = "台積電";
  request.kol_serial = 208;
  std::vector<std::shared_ptr<Call>> posts;
  for (int i = 0; i < std::stoi(argv[4]); ++i) {
    posts.push_back((*generator)->Start(request, nullptr));
  }
  for (const auto& post : posts) {
    const auto result = post->Wait();
    if (result->ok()) {
      std::cout << "post " << result->post_id << ' ' << *result->cost_usd << ' ' << result->content
                << '\n';
    } else {
      std::cout << "error " << result->error->message << '\n';
    }
  }
  std::cout << "metrics " << (*generator)->MetricsJson() << std::endl;
  return 0;
}

}  // namespace
}  // namespace postgen

int main(int argc, char** argv) { return postgen::Main(argc, argv); }
