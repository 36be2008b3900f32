// The offline writer: sentences chosen by posting type and version, put together within the word
// limit. It states no figures and no news, because it knows none.
#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "llm/clients.h"
#include "text/utf8.h"

namespace postgen {
namespace {

constexpr std::size_t kVariants = 10;
using Lines = std::array<std::string_view, kVariants>;

// At most six code points each, so that they fit the smallest limit beside a short name; every one
// differs, so that no two versions are the same text.
constexpr Lines kQuestions = {"怎麼看？",   "還能抱嗎？", "該進場嗎？", "你買了嗎？", "風險大嗎？",
                              "撐得住嗎？", "先觀望嗎？", "目標在哪？", "誰還看好？", "怎麼操作？"};
constexpr Lines kOpenings = {"值得觀察。", "先看趨勢。", "別急著追。", "留意量能。", "回到基本面。",
                             "需要耐心。", "多聽少猜。", "風險要顧。", "等待訊號。", "紀律為先。"};
constexpr Lines kTitles = {
    "的下一步怎麼看",   "現在該注意什麼", "進出之前先想清楚", "量價之間的訊號", "回到基本面來看",
    "市場情緒觀察筆記", "多空看法整理",   "風險與機會並存",   "等待關鍵訊號",   "操作紀律提醒"};
constexpr Lines kDetails = {"短線的漲跌容易被情緒帶著走，先把自己的進出條件寫下來。",
                            "觀察重點放在量能是否跟上，沒有量的上漲通常走不遠。",
                            "均線排列可以看出多空力道，但單一指標不足以下結論。",
                            "公司的營收與獲利才是長期的依據，財報公布前後要特別留意。",
                            "產業的景氣循環會影響評價，別只用過去的股價來比較。",
                            "資金控管比預測方向更重要，單一持股的比重不宜過高。",
                            "如果走勢和原本的假設不同，停損要果斷，別讓小虧變成大虧。",
                            "籌碼的變化可以當作參考，但要配合價格一起解讀。",
                            "市場上的看法很多，記得分辨哪些是事實、哪些只是意見。",
                            "分批進出可以降低判斷錯誤的成本，也讓心態更穩定。"};
constexpr Lines kClosings = {"以上是個人整理，不構成投資建議。",
                             "投資有風險，決定前請自行評估。",
                             "僅供參考，歡迎理性討論。",
                             "請依自己的風險承受度判斷。",
                             "紀律操作，盈虧自負。",
                             "觀點僅供交流。",
                             "資訊有時效，請再查證。",
                             "切勿單憑一篇文章下單。",
                             "保持彈性，順勢而為。",
                             "想清楚再出手。"};

constexpr std::size_t kMaxTitle = 25;    // code points, as the reply parser takes them
constexpr std::size_t kLongestLine = 6;  // of kQuestions and kOpenings

std::size_t VariantOf(int version_number) {
  const auto number = static_cast<std::size_t>(version_number > 0 ? version_number - 1 : 0);
  return number % kVariants;
}

// The stock as it is called in a text of at most `limit` code points.
std::string_view StockName(const LlmRequest& request, std::size_t limit) {
  std::string_view name = request.stock_name.empty() ? request.stock_code : request.stock_name;
  if (name.empty()) name = "這檔股票";
  return TakeCodePoints(name, limit);
}

// Appends `sentence` if the text stays within `limit`.
void AppendIfItFits(std::string* text, std::string_view sentence, std::size_t limit) {
  if (CountCodePoints(*text) + CountCodePoints(sentence) <= limit) text->append(sentence);
}

std::string Title(const LlmRequest& request, std::size_t variant) {
  const std::size_t room = kMaxTitle - CountCodePoints(kTitles[variant]);
  return std::string(StockName(request, room)).append(kTitles[variant]);
}

std::string Body(const LlmRequest& request, std::size_t variant) {
  const bool question = request.posting_type == "interaction";
  const std::size_t limit =
      request.max_words > 0 ? static_cast<std::size_t>(request.max_words) : 200;
  const std::size_t name_limit = limit > kLongestLine ? limit - kLongestLine : 1;
  std::string text(StockName(request, std::min<std::size_t>(name_limit, kMaxTitle)));
  if (question) {
    // An interaction is one short question.
    return text.append(kQuestions[variant]);
  }
  text.append(kOpenings[variant]);
  const std::string angle = "這一篇從「" + request.angle + "」的角度來看。";
  if (!request.angle.empty()) AppendIfItFits(&text, angle, limit);
  const std::string_view closing = kClosings[variant];
  const std::size_t closing_size = CountCodePoints(closing);
  const std::size_t body_limit = limit > closing_size ? limit - closing_size : 0;
  for (std::size_t i = 0; i < kVariants; ++i) {
    AppendIfItFits(&text, kDetails[(variant * 3 + i) % kVariants], body_limit);
  }
  AppendIfItFits(&text, closing, limit);
  return text;
}

LlmReply Write(const LlmRequest& request) {
  const std::size_t variant = VariantOf(request.version_number);
  LlmReply reply;
  reply.text = "標題：" + Title(request, variant) + "\n內容：" + Body(request, variant);
  reply.finish_reason = {FinishReason::Kind::kStop, "stop"};
  reply.model = "template";
  reply.usage_kind = UsageKind::kExact;  // no tokens
  reply.source = Source::kTemplate;
  return reply;
}

class TemplateClient final : public LlmClient {
 public:
  // Answers before it returns.
  void Complete(LlmRequest request, CancelToken cancel, LlmSink sink) override {
    if (cancel.stop_requested()) {
      LlmReply reply;
      reply.error = Error(Code::kCancelled, "the caller cancelled");
      reply.source = Source::kTemplate;
      return sink.on_done(std::move(reply));
    }
    LlmReply reply = Write(request);
    if (request.stream && sink.on_text) sink.on_text(reply.text);
    sink.on_done(std::move(reply));
  }

  std::string provider() const override { return "template"; }
};

}  // namespace

std::unique_ptr<LlmClient> NewTemplateClient() { return std::make_unique<TemplateClient>(); }

}  // namespace postgen
