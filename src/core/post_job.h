// The way of one post, from a checked request to its result, as a state machine on the reactor:
//
//   store check + profile  ->  [draft]  ->  versions, all at once  ->  choice  ->  row  ->  result
//
// Nothing here blocks. Parts may answer inline or later, from any thread; a post ends by its
// deadline even if one of them never answers.
#ifndef POSTGEN_SRC_CORE_POST_JOB_H_
#define POSTGEN_SRC_CORE_POST_JOB_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/cached_calls.h"
#include "core/metrics.h"
#include "core/post_bill.h"
#include "core/recent_choices.h"
#include "core/version_result.h"
#include "limits/spending_budget.h"
#include "postgen/llm_client.h"
#include "postgen/observer.h"
#include "postgen/options.h"
#include "postgen/post_store.h"
#include "postgen/profile_store.h"
#include "postgen/types.h"
#include "prompt/prompt_builder.h"
#include "runtime/executor.h"
#include "runtime/random.h"
#include "store/request_ledger.h"
#include "store/spool.h"
#include "version/reply_text.h"

namespace postgen {

// What all posts of a generator share. The executor lives as long as anyone may still answer a job;
// all else must outlive the executor's thread only.
struct PostParts {
  Options options;
  std::shared_ptr<Executor> executor;
  std::string provider;      // LlmClient::provider()
  LlmClient* llm = nullptr;  // for its connection; calls go by way of `calls`
  CachedCalls* calls = nullptr;
  LlmClient* template_writer = nullptr;
  PostStore* store = nullptr;        // null: none
  RequestLedger* ledger = nullptr;   // null: none; REQUIRED for requests with an idempotency key
  Spool* spool = nullptr;            // null: none; where rows wait while the store is away
  std::string no_spool;              // why there is none where there should be one; else empty
  ProfileStore* profiles = nullptr;  // null: none
  std::shared_ptr<SpendingBudget> budget;  // null: posts may cost what they like
  const PromptBuilder* prompts = nullptr;
  Metrics* metrics = nullptr;
  RecentChoices* recent = nullptr;  // used on the executor's thread only
  Rng* rng = nullptr;               // used on the executor's thread only
};

// All functions: on the executor's thread. A job keeps itself alive until it has ended.
class PostJob final : public std::enable_shared_from_this<PostJob> {
 public:
  using DoneCallback = std::function<void(std::shared_ptr<const PostResult>)>;

  struct Spec {
    PostRequest request;  // checked by ValidateRequest
    std::uint64_t call_id = 0;
    std::shared_ptr<Observer> observer;  // may be null
    bool stream = false;                 // deltas wanted
    bool restarts = false;               // deltas may be taken back
    TimePoint started_at;                // when the caller handed the request over
    // Called once, before the last event: the post takes no place any more, so that its caller may
    // start the next one from within that event. May be empty.
    std::function<void()> on_ending;
  };

  // `done` is called once, after the last event.
  PostJob(std::shared_ptr<const PostParts> parts, Spec spec, DoneCallback done);

  void Start();
  // Ends the post with `error` unless it has ended.
  void Cancel(Error error);

 private:
  // One version on its way; ends exactly once.
  struct VersionTask {
    LlmRequest request;
    std::unique_ptr<ReplyStream> deltas;  // null unless deltas are wanted
    bool any_text = false;                // something went into deltas
    CachedCalls::Ticket call = 0;
    std::string provider;  // that answered; empty: the client's only one
    bool ended = false;
    TimerId journal_timer = 0;
    bool reported = false;  // it ended, and its journal has answered or is too late
  };

  // Runs `continuation` on the executor's thread (at once if this is it), unless the post has ended
  // by then.
  void Continue(Task continuation);

  void ClaimKey();
  void OnClaim(const Result<ClaimAnswer>& answer);
  // Returns the post `post_id` if the store has it, else goes on with `absent`.
  void ReturnStored(const std::string& post_id, Task absent);
  void OnStoredRow(const PostRow& row);
  // Returns the row that the owner before us may have left, or begins when there is none by then.
  void AwaitOwnersRow(TimePoint until);
  void RenewClaim();
  void EndClaim();
  // Of a post that ends: its row may be there, or come from the spool.
  bool MayBecomeRow() const;
  void Begin();

  TimePoint LookupDeadline() const;
  TimePoint KeyDeadline() const;
  void CheckStore();
  void FindProfile();
  void OnStoreChecked(const Status& status);
  void OnSpoolChecked(const Status& spool, const Error& store);
  void OnProfileFound(const Result<FoundProfile>& found);
  void MaybeGenerate();
  void ReserveCost();
  void Generate();

  void StartDraft();
  void OnDraft(const LlmReply& reply);
  void StartVersions(const std::string& draft);
  void StartVersion(std::size_t index);
  void OnCacheAnswer(std::size_t index, const std::shared_ptr<const std::string>& bytes);
  void CallModel(std::size_t index);
  CachedCalls::Ticket CallLlm(const LlmRequest& request, LlmSink sink);
  void OnReply(std::size_t index, LlmReply reply);
  VersionResult FillFromTemplate(std::size_t index, VersionResult failed);
  void EndVersion(std::size_t index, VersionResult version);
  void Journal(std::size_t index);
  void OnJournaled(std::size_t index, const Status& status);
  void ReportVersion(std::size_t index);
  void OnGenerationDue();
  void EndLateVersions();
  void LeaveCalls();

  void ChooseAndStore();
  static void Choose(int version_number, PostResult* result);
  PostRow MakeRow(const PostResult& result) const;
  void OnStored(const Status& status);
  void KeepInSpool(const Error& store);
  // Where a spool would have helped: what to do to have one.
  Error WithoutSpool(Error store) const;
  void OnKept(const Status& spool, const Error& store);
  void OnDeadline();
  void Fail(Error error);
  void Finish();
  Timings MeasureStages() const;

  LlmRequest MakeRequest(VersionPlan plan, bool stream) const;
  void ListenForText(std::size_t index);
  void PushText(std::size_t index, std::string_view text);
  void PushInPieces(std::size_t index, std::string_view text);
  void TakeBackText(std::size_t index);
  void Emit(Event event);
  void EmitDelta(std::size_t index, Event::Part part, std::string_view text);
  // For a reply of another model than the one asked for.
  VersionRules RulesFor(const LlmReply& reply) const;
  void AddUsage(Source source, const Usage& usage, std::optional<double> cost_usd);
  const KolProfile* profile() const { return profile_.has_value() ? &*profile_ : nullptr; }

  // Constant after construction.
  const std::shared_ptr<const PostParts> parts_;
  const PostRequest request_;
  const std::uint64_t call_id_;
  const std::shared_ptr<Observer> observer_;
  const bool stream_;
  const bool restarts_;  // only deltas can be taken back
  const TimePoint started_at_;
  const TimePoint deadline_;             // the whole reply is due
  const TimePoint generation_deadline_;  // earlier, so that the row can still be written
  const std::uint64_t seed_;             // of the choice

  std::function<void()> on_ending_;
  DoneCallback done_;
  bool ended_ = false;
  bool in_burst_ = false;  // OnBurstEnd is due
  CachedCalls::Ticket draft_call_ = 0;
  TimerId deadline_timer_ = 0;
  TimerId generation_timer_ = 0;
  RequestClaim claim_;
  bool claimed_ = false;       // the idempotency key is ours
  bool awaits_other_ = false;  // it was somebody else's
  TimerId claim_timer_ = 0;
  bool writing_ = false;  // a row may be there
  bool store_checked_ = false;
  std::optional<Error> store_away_;  // it was found away before anything was paid
  bool journaled_ = false;           // the spool has, or may have, what is finished of this post
  bool journal_failed_ = false;      // a warning says so
  bool profile_found_ = false;
  std::optional<KolProfile> profile_;
  VersionRules rules_;
  double temperature_ = 0;
  std::shared_ptr<PostBill> bill_;  // where there is a budget
  std::vector<VersionTask> tasks_;
  std::size_t open_versions_ = 0;
  bool cost_known_ = true;  // of all that was called so far
  std::shared_ptr<PostResult> result_;

  // When each stage ended; absent while it has not.
  TimePoint parsed_at_;
  std::optional<TimePoint> model_chosen_at_;
  std::optional<TimePoint> first_version_at_;
  std::optional<TimePoint> last_version_at_;
};

}  // namespace postgen

#endif  // POSTGEN_SRC_CORE_POST_JOB_H_
