// A process for kill_harness.py to kill: makes posts, 20 at a time, until it dies.
//
//   postgen_kill_worker work STORE_URL SPOOL_FOLDER LLM_URL post|version
//   postgen_kill_worker migrate|drain STORE_URL SPOOL_FOLDER LLM_URL post|version
//
// Says on stdout what a caller hears, a JSON document a line: {"type": "version_done", "title",
// "content"}, {"type": "post", "post_id", "stored", "title", "content"}, {"type": "error",
// "message"}. `migrate` makes the tables; `drain` moves what the spool holds and ends with status 0
// when nothing waits.
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "json/json_writer.h"
#include "postgen/postgen.h"
#include "runtime/failpoint.h"

namespace postgen {
namespace {

using std::chrono::milliseconds;

constexpr int kInFlight = 20;

using Field = std::pair<std::string_view, std::string_view>;

void Say(std::initializer_list<Field> fields) {
  std::string line;
  JsonWriter json(&line);
  json.BeginObject();
  for (const auto& [name, value] : fields) json.Key(name).String(value);
  json.EndObject();
  line += '\n';
  if (write(STDOUT_FILENO, line.data(), line.size()) < 0) _exit(1);
}

void SayError(const Error& error) { Say({{"type", "error"}, {"message", error.message}}); }

class Reporter final : public Observer {
 public:
  void OnEvent(const Event& event) override {
    if (event.type == Event::Type::kVersionDone && event.version->ok()) {
      const VersionResult& version = *event.version;
      Say({{"type", "version_done"}, {"title", version.title}, {"content", version.content}});
    } else if (event.type == Event::Type::kPost) {
      const PostResult& post = *event.result;
      Say({{"type", "post"},
           {"post_id", post.post_id},
           {"stored", post.stored == Stored::kStored ? "stored" : "spooled"},
           {"title", post.title},
           {"content", post.content}});
    } else if (event.type == Event::Type::kError) {
      SayError(*event.result->error);
    }
  }
};

int Migrate(PostGenerator* generator) {
  const auto migrated = generator->Migrate(milliseconds(20000));
  if (!migrated.ok()) SayError(migrated.error());
  return migrated.ok() ? 0 : 1;
}

int Drain(PostGenerator* generator) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (std::chrono::steady_clock::now() < until) {
    const Status flushed = generator->FlushSpool(milliseconds(2000));
    if (flushed.ok()) return 0;
    SayError(flushed.error());
    std::this_thread::sleep_for(milliseconds(100));
  }
  return 1;
}

int Work(PostGenerator* generator) {
  PostRequest request;
  request.stock_code = "2330";
  request.stock_name = "台積電";
  request.kol_serial = 208;
  request.versions = 3;
  request.max_words = 100;
  const auto reporter = std::make_shared<Reporter>();
  std::vector<std::shared_ptr<Call>> posts;
  for (int i = 0; i < kInFlight; ++i) posts.push_back(generator->Start(request, reporter));
  for (std::size_t i = 0;; i = (i + 1) % posts.size()) {
    posts[i]->Wait();
    posts[i] = generator->Start(request, reporter);
  }
}

int Main(const std::vector<std::string_view>& arguments) {
  if (arguments.size() != 5) return 2;
  Options options;
  options.store.url = arguments[1];
  options.store.spool = arguments[2];
  options.store.journal = arguments[4] == "post" ? Journal::kPost : Journal::kVersion;
  options.llm.base_url = arguments[3];
  options.llm.api_key = "key";
  options.cache.url = "none:";
  options.default_deadline_ms = 20000;
  const auto generator = PostGenerator::Create(options);
  if (!generator.ok()) {
    SayError(generator.error());
    return 2;
  }
  if (arguments[0] == "migrate") return Migrate(generator->get());
  return arguments[0] == "drain" ? Drain(generator->get()) : Work(generator->get());
}

}  // namespace
}  // namespace postgen

int main(int argc, char** argv) {
  if (const char* point = std::getenv("POSTGEN_FAILPOINT")) postgen::ArmFailpoint(point);
  return postgen::Main({argv + 1, argv + argc});
}
