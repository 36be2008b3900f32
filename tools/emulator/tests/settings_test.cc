// Settings by flag and by JSON, and the command line.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "json_writer.h"
#include "options.h"
#include "settings.h"

using namespace emulator;

namespace {

std::string Wrong(const std::vector<std::string_view>& arguments) {
  Options options;
  std::string error;
  CHECK(ParseCommandLine(arguments, &options, &error) == CommandLine::kWrong);
  return error;
}

}  // namespace

TEST_CASE("flags with a blank or an equals sign, switches, lists") {
  Options options;
  std::string error;
  CommandLine parsed =
      ParseCommandLine({"--port", "8080", "--ttft-ms=12.5", "--settle", "--exit-with-parent",
                        "--fail", "reset:0.5", "--fail=status=429#1", "--model-speed",
                        "gpt-4o=300,50", "--shape", "one_line", "--host", "localhost"},
                       &options, &error);
  REQUIRE_MESSAGE(parsed == CommandLine::kRun, error);
  CHECK(options.port == 8080);
  CHECK(options.host == "127.0.0.1");
  CHECK(options.exit_with_parent);
  CHECK(options.settings.ttft_ms == 12.5);
  CHECK(options.settings.settle);
  CHECK(options.settings.faults.size() == 2);
  CHECK(options.settings.model_speeds.at("gpt-4o").tokens_per_s == 50);
  CHECK(options.settings.shape == Shape::kOneLine);
}

TEST_CASE("command line errors name the flag and the bound") {
  CHECK(Wrong({"--port", "70000"}).find("--port must be a whole number from 0 to 65535") == 0);
  CHECK(Wrong({"--ttft-ms", "-1"}).find("--ttft-ms must be a number from 0 to") == 0);
  CHECK(Wrong({"--ttft-ms", "1e999"}).find("--ttft-ms") == 0);
  CHECK(Wrong({"--ttft-ms", "nan"}).find("--ttft-ms") == 0);
  CHECK(Wrong({"--ttft-ms", "5ms"}).find("--ttft-ms") == 0);
  CHECK(Wrong({"--shape", "round"}).find("--shape must be one of labels|bold|") == 0);
  CHECK(Wrong({"--frobnicate"}) == "unknown flag --frobnicate");
  CHECK(Wrong({"--frobnicate", "1"}) == "unknown flag --frobnicate");
  CHECK(Wrong({"--ttft-ms"}) == "--ttft-ms needs a value");
  CHECK(Wrong({"--host", "0.0.0.0"}).find("--host must be a loopback address") == 0);
  CHECK(Wrong({"--fail", "what"}).find("--fail: unknown fault") == 0);
  CHECK(Wrong({"--model-speed", "x"}).find("--model-speed must be MODEL=") == 0);
  CHECK(Wrong({"--settle=maybe"}).find("--settle must be true or false") == 0);
  CHECK(Wrong({"--tls-ca-out", "f"}).find("need --tls") != std::string::npos);
  CHECK(Wrong({"stray"}).find("unexpected argument 'stray'") == 0);
}

TEST_CASE("JSON settings are applied all or none") {
  Settings settings;
  std::string error;
  CHECK(ApplyJsonSettings(
      R"({"ttft_ms": 5, "settle": true, "shape": "bold", "fail": ["reset", "cut=2@3"]})", &settings,
      &error));
  CHECK(settings.ttft_ms == 5);
  CHECK(settings.settle);
  CHECK(settings.faults.size() == 2);

  CHECK_FALSE(ApplyJsonSettings(R"({"ttft_ms": 6, "rpm": -1})", &settings, &error));
  CHECK(error.find("--rpm must be") == 0);
  CHECK(settings.ttft_ms == 5);
  CHECK_FALSE(ApplyJsonSettings(R"({"tfft_ms": 6})", &settings, &error));
  CHECK(error == "unknown setting 'tfft_ms'");
  CHECK_FALSE(ApplyJsonSettings(R"({"ttft_ms": [6]})", &settings, &error));
  CHECK_FALSE(ApplyJsonSettings(R"({"ttft_ms": {}})", &settings, &error));
  CHECK_FALSE(ApplyJsonSettings("[]", &settings, &error));
  CHECK_FALSE(ApplyJsonSettings("", &settings, &error));

  // A list replaces the one before.
  CHECK(ApplyJsonSettings(R"({"fail": []})", &settings, &error));
  CHECK(settings.faults.empty());
}

TEST_CASE("settings that are written can be read back") {
  Settings settings;
  std::string error;
  REQUIRE(ApplyJsonSettings(
      R"({"ttft_ms":1.25,"rpm":10,"usage_style":"x_groq","fail":["quota=x#2"],
          "model_speed":["a=1,2"],"unknown_model_404":["b"],"api_key":"secret"})",
      &settings, &error));
  JsonWriter json;
  WriteSettings(settings, json);
  std::string text = json.Take();
  CHECK(text.find("secret") == std::string::npos);
  Settings read;
  REQUIRE_MESSAGE(ApplyJsonSettings(text, &read, &error), error);
  JsonWriter again;
  WriteSettings(read, again);
  CHECK(again.Take() == text);
}

TEST_CASE("help lists every setting and fault") {
  std::string help = HelpText();
  for (const char* word : {"--ttft-ms", "--over-concurrency", "queue|429|503", "lone-surrogate",
                           "--exit-with-parent", "--tick-ms"}) {
    CHECK(help.find(word) != std::string::npos);
  }
}
