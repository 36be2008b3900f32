#include "prompt/prompt_template.h"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <utility>

#include "prompt/prompt_data.h"

namespace postgen {
namespace {

bool StartsName(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// Where the next placeholder opens; npos: nowhere.
std::size_t FindOpen(std::string_view text) {
  for (std::size_t at = text.find('{'); at != std::string_view::npos; at = text.find('{', at + 1)) {
    if (at + 1 < text.size() && StartsName(text[at + 1])) return at;
  }
  return std::string_view::npos;
}

Error BadPlaceholder(std::string_view source, std::string_view what, std::string_view placeholder) {
  return Error(Code::kInvalidConfig,
               "prompt template " + std::string(source) + ": " + std::string(what) + " {" +
                   OneLine(placeholder) + "}; docs/prompts.md lists the placeholders",
               "prompts.dir");
}

bool IsBlank(std::string_view line) {
  return line.find_first_not_of(" \t") == std::string_view::npos;
}

}  // namespace

Result<PromptTemplate> PromptTemplate::Parse(std::string_view text, std::string_view source,
                                             const IsKnown& is_known) {
  PromptTemplate result;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line_text = text.substr(at, end - at);
    if (line_text.ends_with('\r')) line_text.remove_suffix(1);
    Result<Line> line = ParseLine(line_text, source, is_known);
    if (!line.ok()) return std::move(line).error();
    result.lines_.push_back(std::move(*line));
    at = end + 1;
  }
  return result;
}

Result<PromptTemplate::Line> PromptTemplate::ParseLine(std::string_view text,
                                                       std::string_view source,
                                                       const IsKnown& is_known) {
  Line line;
  for (std::size_t open = FindOpen(text); open != std::string_view::npos; open = FindOpen(text)) {
    line.push_back({std::string(text.substr(0, open))});
    text.remove_prefix(open + 1);
    const std::size_t close = text.find('}');
    if (close == std::string_view::npos) {
      return BadPlaceholder(source, "no closing brace for", text.substr(0, 40));
    }
    const std::string_view placeholder = text.substr(0, close);
    if (!is_known(placeholder)) {
      return BadPlaceholder(source, "unknown placeholder", placeholder);
    }
    line.push_back({std::string(placeholder), true});
    text.remove_prefix(close + 1);
  }
  line.push_back({std::string(text)});
  return line;
}

std::string PromptTemplate::Expand(const AppendValue& append_value) const {
  std::string out;
  bool blank_before = true;  // no blank lines at the start
  for (const Line& line : lines_) {
    const std::size_t begin = out.size();
    bool has_placeholder = false;
    bool has_value = false;
    for (const Piece& piece : line) {
      if (!piece.is_placeholder) {
        out += piece.text;
        continue;
      }
      const std::size_t before = out.size();
      append_value(piece.text, &out);
      has_placeholder = true;
      has_value = has_value || out.size() > before;
    }
    const bool left_out = has_placeholder && !has_value;
    const bool blank = IsBlank(std::string_view(out).substr(begin));
    if (left_out || (blank && blank_before)) {
      out.resize(begin);
      continue;
    }
    out += '\n';
    blank_before = blank;
  }
  while (!out.empty() && (out.back() == '\n' || out.back() == ' ')) out.pop_back();
  return out;
}

bool PromptTemplate::Mentions(const IsKnown& predicate) const {
  return std::any_of(lines_.begin(), lines_.end(), [&](const Line& line) {
    return std::any_of(line.begin(), line.end(), [&](const Piece& piece) {
      return piece.is_placeholder && predicate(piece.text);
    });
  });
}

}  // namespace postgen
