#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "text/utf8.h"
#include "version/reply_label.h"
#include "version/reply_text.h"

namespace postgen {
namespace {

// Joins what a ReplyStream hands out and checks that the pieces are such as may be shown.
class Collector {
 public:
  ReplyStream::Sink sink() {
    return [this](Event::Part part, std::string_view text) {
      CHECK_FALSE(text.empty());
      CHECK(IsValidUtf8(text));
      if (part == Event::Part::kTitle) {
        CHECK(text_.content.empty());
        text_.title += text;
      } else {
        text_.content += text;
      }
      ++pieces_;
    };
  }
  const ReplyText& text() const { return text_; }
  int pieces() const { return pieces_; }

 private:
  ReplyText text_;
  int pieces_ = 0;
};

ReplyText Stream(const std::vector<std::string_view>& fragments) {
  Collector collector;
  ReplyStream stream(collector.sink());
  for (const std::string_view fragment : fragments) stream.Push(fragment);
  stream.End();
  return collector.text();
}

const std::string_view kReplies[] = {
    "【標題：站回月線】\n【內容：量能回溫。】",
    "標題：站回月線\n內容：量能回溫。\n\n第二段，**看量**。\n- 一\n#台積電",
    "**標題：** 站回月線\r\n\r\n**內容：** 量能回溫。\r\n",
    "```text\n標題: 站回月線\n---\n內容: 量能回溫。\n```",
    "好的，以下是貼文：\n標題：站回月線\n內容：「追」不「追」",
    "標題：【站回月線】\n內容：【量能回溫。】",
    "標題：站回月線 內容：量能回溫。",
    "標題：站回月線\n量能回溫。\n第二段。",
    "內容：量能回溫。\n標題：站回月線",
    "站回月線\n量能回溫。",
    "標題：一\n內容：甲。\n標題：二\n內容：乙。",
    "標題：一\n內容：甲。\n內容：乙。\n標題黨\n內容",
    "標題：一\n標題：二\n內容：\n標題：三\n內容：甲",
    "標題：一\n內容：👩‍💻 看盤 `MA20` 2*3 -5%\n\n\n\n結尾**",
    "標題：站回月線",
    "標題：一\n內容：[內容]",
    "",
    "\xEF\xBB\xBF標題：一\n內容：甲\xE2\x80\x8B乙\n```",
    "標題：一\n內容：```\n甲\n```\n#",
};

TEST_CASE("ReplyStream gives what ParseReply gives, wherever the reply is cut") {
  for (const std::string_view reply : kReplies) {
    CAPTURE(reply);
    const ReplyText whole = ParseReply(reply);
    for (std::size_t cut = 0; cut <= reply.size(); ++cut) {
      CAPTURE(cut);
      const ReplyText text = Stream({reply.substr(0, cut), reply.substr(cut)});
      CHECK(text.title == whole.title);
      CHECK(text.content == whole.content);
    }
    std::vector<std::string_view> bytes;
    for (std::size_t i = 0; i < reply.size(); ++i) bytes.push_back(reply.substr(i, 1));
    CHECK(Stream(bytes).title == whole.title);
    CHECK(Stream(bytes).content == whole.content);
  }
}

TEST_CASE("ReplyStream hands out text before the end where the reply keeps to the format") {
  Collector collector;
  ReplyStream stream(collector.sink());
  stream.Push("標題：站回");
  CHECK(collector.pieces() == 0);
  stream.Push("月線\n內");
  CHECK(collector.text().title == "站回月線");
  CHECK(collector.text().content.empty());
  stream.Push("容：量能");
  CHECK(collector.text().content == "量能");
  stream.Push("回溫。**看");
  CHECK(collector.text().content == "量能回溫。看");
  stream.Push("量**。\n標");
  CHECK(collector.text().content == "量能回溫。看量。");
  stream.Push("的明確");
  CHECK(collector.text().content == "量能回溫。看量。\n標的明確");
  stream.End();
  CHECK(collector.text().content == "量能回溫。看量。\n標的明確");
}

TEST_CASE("ReplyStream may be dropped without End and ended without Push") {
  Collector collector;
  {
    ReplyStream dropped(collector.sink());
    dropped.Push("標題：一");
  }
  ReplyStream empty(collector.sink());
  empty.End();
  CHECK(collector.pieces() == 0);
}

// Texts of the pieces that models make replies of, put together at random.
std::string RandomReply(std::mt19937& random) {
  static constexpr std::string_view kPieces[] = {
      "標題",
      "內容",
      "标题",
      "内容",
      "Title",
      "：",
      ":",
      "\n",
      "\n",
      "\n\n",
      "\r\n",
      "**",
      "# ",
      "- ",
      "【",
      "】",
      "[",
      "]",
      "「",
      "」",
      "```",
      "```text",
      " ",
      "　",
      "量能",
      "回溫。",
      "還能追嗎？",
      "，",
      "2330",
      "1. ",
      "以下：",
      "好的，",
      "---",
      "#",
      "*",
      "標題：一\n",
      "內容：甲\n",
      "標題：",
      "內容：",
      "\xE2\x80\x8B",
      "📌",
      "（",
      "）",
      "x",
      "台積電今天開高走高收在全日高點附近而且量能回溫",
  };
  std::uniform_int_distribution<std::size_t> piece(0, std::size(kPieces) - 1);
  std::uniform_int_distribution<int> count(0, 14);
  std::string reply;
  for (int n = count(random); n > 0; --n) reply += kPieces[piece(random)];
  return reply;
}

void CheckNoLabel(std::string_view text) {
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    CHECK(MatchLabel(text.substr(at, end - at), true).kind == LabelMatch::Kind::kNone);
    at = end + 1;
  }
}

TEST_CASE("Whatever the reply: valid UTF-8, no label, a short title, and the stream agrees") {
  std::mt19937 random(20251020);
  std::bernoulli_distribution cut(0.2);
  for (int round = 0; round < 20000; ++round) {
    const std::string reply = RandomReply(random);
    CAPTURE(reply);
    const ReplyText text = ParseReply(reply);
    CHECK(IsValidUtf8(text.title));
    CHECK(IsValidUtf8(text.content));
    CHECK(CountCodePoints(text.title) <= 25);
    CHECK(text.title.find('\n') == std::string::npos);
    const bool has_words = text.content.find("量能") != std::string::npos;
    CHECK((!has_words || !text.title.empty()));
    CheckNoLabel(text.title);
    CheckNoLabel(text.content);

    std::vector<std::string_view> fragments;
    std::size_t begin = 0;
    for (std::size_t i = 0; i <= reply.size(); ++i) {
      if (i < reply.size() && !cut(random)) continue;
      fragments.push_back(std::string_view(reply).substr(begin, i - begin));
      begin = i;
    }
    const ReplyText streamed = Stream(fragments);
    CHECK(streamed.title == text.title);
    CHECK(streamed.content == text.content);
  }
}

// Reading a growing line from its start for each byte would take minutes here.
TEST_CASE("a line without end, byte by byte, takes linear time") {
  for (const std::string_view unit : {"量", "-", "標題（"}) {
    CAPTURE(std::string(unit));
    for (const std::string_view before :
         {"", "標題：一\n", "標題：一\n內容：", "標題：一\n內容：甲\n"}) {
      Collector collector;
      ReplyStream stream(collector.sink());
      std::string reply(before);
      while (reply.size() < (std::size_t{1} << 19U)) reply += unit;
      for (std::size_t at = 0; at < reply.size(); ++at) {
        stream.Push(std::string_view(reply).substr(at, 1));
      }
      stream.End();
      CHECK(collector.text().content.size() <= reply.size());
    }
  }
}

}  // namespace
}  // namespace postgen
