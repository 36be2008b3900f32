#include "prompt/template_files.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <stdlib.h>

#include <doctest/doctest.h>

#include "prompt/placeholders.h"
#include "prompt/prompt_builder.h"

namespace postgen {
namespace {

class TempDir {
 public:
  TempDir() {
    std::string pattern = std::filesystem::temp_directory_path() / "postgen-prompts-XXXXXX";
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() { std::filesystem::remove_all(path_); }

  void Write(const std::string& name, std::string_view text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
  }
  std::string path() const { return path_; }

 private:
  std::filesystem::path path_;
};

PostRequest SomeRequest() {
  PostRequest request;
  request.stock_code = "2330";
  request.stock_name = "台積電";
  request.kol_serial = 208;
  request.news = {"{stock_id} 法說 {nope}", "第二則"};
  request.versions = 3;
  return request;
}

Result<std::unique_ptr<PromptBuilder>> Create(const TempDir& dir) {
  return PromptBuilder::Create({dir.path()});
}

TEST_CASE("prompts.dir: files replace the built-in templates one by one") {
  const TempDir dir;
  dir.Write("analysis.user.txt",
            "\xEF\xBB\xBF寫{stock_name}（{stock_id}），角度{angle}，{news[0]}\n");
  const auto own = Create(dir);
  REQUIRE(own.ok());
  const auto builtin = PromptBuilder::Create({});
  REQUIRE(builtin.ok());

  const PostRequest request = SomeRequest();
  const std::vector<VersionPlan> plans = (*own)->Build(request, nullptr, "");
  const std::vector<VersionPlan> usual = (*builtin)->Build(request, nullptr, "");
  CHECK(plans[0].messages[0] == usual[0].messages[0]);
  CHECK(plans[0].messages[1].content ==
        "寫台積電（2330），角度技術面分析，<<<DATA\n[新聞] {stock_id} 法說 {nope}\nDATA>>>");

  PostRequest question = request;
  question.posting_type = "interaction";
  CHECK((*own)->Build(question, nullptr, "")[0].messages ==
        (*builtin)->Build(question, nullptr, "")[0].messages);
}

TEST_CASE("prompts.dir: the angle is added where the templates do not mention it") {
  const TempDir dir;
  dir.Write("analysis.system.txt", "你是{kol_nickname}");
  dir.Write("analysis.user.txt", "寫{stock_name}");
  const auto builder = Create(dir);
  REQUIRE(builder.ok());
  const std::vector<VersionPlan> plans = (*builder)->Build(SomeRequest(), nullptr, "");
  for (const VersionPlan& plan : plans) {
    CHECK(plan.messages[0].content.empty());  // no nickname, no line
    CHECK(plan.messages[1].content.starts_with("寫台積電\n\n"));
    CHECK(plan.messages[1].content.find(plan.angle) != std::string::npos);
  }
  CHECK(plans[0].messages != plans[1].messages);
}

TEST_CASE("prompts.dir: the draft call has its own files") {
  const TempDir dir;
  dir.Write("draft.user.txt", "先寫一段：{stock}");
  const auto builder = Create(dir);
  REQUIRE(builder.ok());
  CHECK((*builder)->BuildDraft(SomeRequest(), nullptr).messages[1].content ==
        "先寫一段：台積電（2330）");
}

TEST_CASE("prompts.dir: mistakes name the file") {
  struct Case {
    std::string_view text;
    const char* says;
  };
  const std::string large(64 * 1024 + 1, 'x');
  const Case cases[] = {
      {"{stock_nam}", "unknown placeholder {stock_nam}"},
      {"{kol.password}", "unknown placeholder {kol.password}"},
      {"{news[x]}", "unknown placeholder {news[x]}"},
      {"{news[-1]}", "unknown placeholder {news[-1]}"},
      {"{news[0}", "unknown placeholder {news[0}"},
      {"{news[0].title}", "unknown placeholder {news[0].title}"},
      {"\xFF\xFE", "not UTF-8"},
      {std::string_view("a\0b", 3), "NUL"},
      {" \n", "empty"},
      {large, "larger than 64 KiB"},
  };
  for (const Case& c : cases) {
    CAPTURE(std::string(c.says));
    const TempDir dir;
    dir.Write("interaction.system.txt", c.text);
    const auto builder = Create(dir);
    REQUIRE_FALSE(builder.ok());
    CHECK(builder.error().code == Code::kInvalidConfig);
    CHECK(builder.error().message.find("interaction.system.txt") != std::string::npos);
    CHECK(builder.error().message.find(c.says) != std::string::npos);
  }
}

TEST_CASE("prompts.dir: a folder that is not there is a mistake, an empty one is not") {
  const TempDir dir;
  CHECK(Create(dir).ok());
  const auto missing = PromptBuilder::Create({dir.path() + "/nothing"});
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().code == Code::kInvalidConfig);
  CHECK(missing.error().details.field == "prompts.dir");

  std::filesystem::create_directory(dir.path() + "/analysis.user.txt");
  CHECK_FALSE(Create(dir).ok());
}

TEST_CASE("docs/prompts.md lists every placeholder and no other") {
  std::ifstream file(std::string(POSTGEN_DOCS_DIR) + "/prompts.md");
  REQUIRE(file.is_open());
  std::string table;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("| `{")) table += line.substr(0, line.find(" | ", 2)) + '\n';
  }
  std::size_t listed = 0;
  for (std::size_t at = table.find("`{"); at != std::string::npos; at = table.find("`{", at + 1)) {
    const std::string name = table.substr(at + 2, table.find("}`", at) - at - 2);
    CAPTURE(name);
    CHECK(IsPlaceholder(name));
    ++listed;
  }
  for (const std::string& name : PlaceholderNames()) {
    CAPTURE(name);
    CHECK(table.find("`{" + name + "}`") != std::string::npos);
  }
  CHECK(listed == PlaceholderNames().size());
}

}  // namespace
}  // namespace postgen
