#include "json/json_writer.h"

#include <doctest/doctest.h>

#include <clocale>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace postgen {
namespace {

using namespace std::string_view_literals;

template <typename Write>
std::string Written(Write write) {
  std::string out;
  JsonWriter json(&out);
  write(json);
  return out;
}

TEST_CASE("commas stand between members and nowhere else") {
  const std::string out = Written([](JsonWriter& json) {
    json.BeginObject();
    json.Key("empty").BeginArray().EndArray();
    json.Key("list").BeginArray().Int(1).Null().BeginObject().EndObject().Bool(true).EndArray();
    json.Key("raw").Raw("{\"a\":1}");
    json.Key("last").BeginObject().Key("x").String("y").EndObject();
    json.EndObject();
  });
  CHECK(out == R"({"empty":[],"list":[1,null,{},true],"raw":{"a":1},"last":{"x":"y"}})");
}

TEST_CASE("strings are escaped where JSON asks for it") {
  struct Row {
    std::string_view text;
    std::string_view json;
  };
  const Row rows[] = {
      {"", R"("")"},
      {"台積電 📈", R"("台積電 📈")"},
      {"\"\\/", R"("\"\\/")"},
      {"\b\f\n\r\t", R"("\b\f\n\r\t")"},
      {"\x01\x1F\x7F", "\"\\u0001\\u001f\x7F\""},
      {"a\0b"sv, R"("a\u0000b")"},
      {"\u2028\u2029", "\"\u2028\u2029\""},
      {"</script>", R"("</script>")"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.json);
    CHECK(Written([&](JsonWriter& json) { json.String(row.text); }) == row.json);
  }
}

TEST_CASE("a key is escaped as a string is") {
  CHECK(Written([](JsonWriter& json) { json.BeginObject().Key("a\"b\n").Int(1).EndObject(); }) ==
        R"({"a\"b\n":1})");
}

TEST_CASE("each byte that is not UTF-8 becomes a replacement character") {
  const auto written = [](std::string_view text) {
    return Written([&](JsonWriter& json) { json.String(text); });
  };
  CHECK(written("a\xFFz") == "\"a\uFFFDz\"");
  CHECK(written("\xED\xA0\x80") == "\"\uFFFD\uFFFD\uFFFD\"");
  CHECK(written("台\xE7\xA9") == "\"台\uFFFD\uFFFD\"");
}

TEST_CASE("integers reach their limits") {
  CHECK(Written([](JsonWriter& json) { json.Int(std::numeric_limits<std::int64_t>::min()); }) ==
        "-9223372036854775808");
  CHECK(Written([](JsonWriter& json) { json.Int(std::numeric_limits<std::int64_t>::max()); }) ==
        "9223372036854775807");
}

TEST_CASE("doubles are short and read back equal, whatever the locale") {
  // Where the locale is not installed this changes nothing, and the checks hold all the same.
  const std::string before = std::setlocale(LC_ALL, nullptr);
  std::setlocale(LC_ALL, "de_DE.UTF-8");
  const auto written = [](double value) {
    return Written([value](JsonWriter& json) { json.Double(value); });
  };
  CHECK(written(0.1) == "0.1");
  CHECK(written(1.5) == "1.5");
  CHECK(written(3) == "3");
  CHECK(written(1e300) == "1e+300");
  CHECK(written(std::numeric_limits<double>::quiet_NaN()) == "null");
  CHECK(written(std::numeric_limits<double>::infinity()) == "null");
  CHECK(written(-std::numeric_limits<double>::infinity()) == "null");
  std::setlocale(LC_ALL, before.c_str());
}

TEST_CASE("fixed numbers have at most so many decimals") {
  const auto written = [](double value, int decimals) {
    return Written([=](JsonWriter& json) { json.Fixed(value, decimals); });
  };
  CHECK(written(12.3456, 3) == "12.346");
  CHECK(written(12.0, 3) == "12");
  CHECK(written(0.0000000004, 9) == "0");
  CHECK(written(0.0001245, 9) == "0.0001245");
  CHECK(written(1e308, 3) == "1e+308");
  CHECK(written(std::numeric_limits<double>::quiet_NaN(), 3) == "null");
}

TEST_CASE("an absent string is null") {
  CHECK(Written([](JsonWriter& json) { json.OptionalString(std::nullopt); }) == "null");
  CHECK(Written([](JsonWriter& json) { json.OptionalString("x"); }) == "\"x\"");
}

}  // namespace
}  // namespace postgen
