#include "core/post_job.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <utility>

#include "core/model_choice.h"
#include "digest/sha256.h"
#include "meter/prices.h"
#include "request/canonical_request.h"
#include "request/post_json.h"
#include "runtime/failpoint.h"
#include "version/choice.h"

namespace postgen {
namespace {

using std::chrono::milliseconds;

// A profile, a schema, a key or a journal that takes longer than this, or than a quarter of the
// post's time, is away; the post goes on or fails without waiting for its own deadline.
constexpr milliseconds kLookupLimit{5000};

// How often a post looks whether another one of its idempotency key has ended.
constexpr milliseconds kClaimPoll{200};

// Who takes a key over waits so long for a row that the owner left in its spool, which moves within
// two seconds of the store's return.
constexpr milliseconds kOwnersSpool{3000};

// Of a stream from a text that is there whole.
constexpr std::size_t kPieceBytes = 256;

// What a post keeps back of its time to write the row.
Duration StoreReserve(milliseconds deadline) {
  return std::min<milliseconds>(deadline / 20, milliseconds(500));
}

double Milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

milliseconds DeadlineOf(const PostRequest& request, const Options& options) {
  return milliseconds(request.deadline_ms.value_or(options.default_deadline_ms));
}

bool IsManual(const PostRequest& request) {
  return request.title.has_value() && !request.title->empty() && request.content.has_value() &&
         !request.content->empty();
}

}  // namespace

PostJob::PostJob(std::shared_ptr<const PostParts> parts, Spec spec, DoneCallback done)
    : parts_(std::move(parts)),
      request_(std::move(spec.request)),
      call_id_(spec.call_id),
      observer_(std::move(spec.observer)),
      stream_(spec.stream && observer_ != nullptr),
      restarts_(spec.restarts),
      started_at_(spec.started_at),
      deadline_(started_at_ + DeadlineOf(request_, parts_->options)),
      generation_deadline_(deadline_ - StoreReserve(DeadlineOf(request_, parts_->options))),
      seed_(request_.seed.has_value() ? static_cast<std::uint64_t>(*request_.seed)
                                      : (*parts_->rng)()),
      on_ending_(std::move(spec.on_ending)),
      done_(std::move(done)),
      result_(std::make_shared<PostResult>()),
      parsed_at_(started_at_) {
  result_->post_id = NewUuid();
  result_->stock_code = request_.stock_code;
  result_->stock_name = request_.stock_name.empty() ? request_.stock_code : request_.stock_name;
  result_->kol_serial = request_.kol_serial.value_or(0);
  result_->kol_nickname = "KOL-" + std::to_string(result_->kol_serial);
  result_->kol_persona = request_.kol_persona;
  result_->commodity_tags = CommodityTagsJson(request_);
  result_->provider = parts_->provider;
  result_->warnings = request_.warnings;
}

// --- Before anything is paid --------------------------------------------------------------------

void PostJob::Start() {
  parsed_at_ = parts_->executor->Now();
  const auto self = shared_from_this();
  deadline_timer_ = parts_->executor->RunAt(deadline_, [self] { self->OnDeadline(); });
  generation_timer_ =
      parts_->executor->RunAt(generation_deadline_, [self] { self->OnGenerationDue(); });
  if (request_.idempotency_key.has_value()) {
    claim_ = {.tenant = request_.tenant,
              .key = *request_.idempotency_key,
              .request_hash = HexDigest(Sha256(CanonicalRequest(request_))),
              .post_id = result_->post_id,
              .owner = NewUuid()};
    return ClaimKey();
  }
  Begin();
}

void PostJob::Begin() {
  CheckStore();
  if (!ended_) FindProfile();
  // The provider's connection is made beside the look-ups. Calls that are sent at once make theirs.
  const bool looks_up = !store_checked_ || !profile_found_;
  if (!ended_ && looks_up && !IsManual(request_)) parts_->llm->Prewarm(1);
}

void PostJob::ClaimKey() {
  const TimePoint limit = KeyDeadline();
  parts_->ledger->Claim(claim_, limit, [self = shared_from_this()](Result<ClaimAnswer> answer) {
    self->Continue([self, answer = std::move(answer)] { self->OnClaim(answer); });
  });
}

void PostJob::OnClaim(const Result<ClaimAnswer>& answer) {
  if (!answer.ok()) return Fail(answer.error());
  const auto self = shared_from_this();
  switch (answer->state) {
    case ClaimAnswer::State::kConflict:
      return Fail(Error(Code::kConflict, "another request was made under this idempotency_key",
                        "idempotency_key"));
    case ClaimAnswer::State::kOurs: {
      claimed_ = true;
      RenewClaim();
      if (answer->post_id == result_->post_id) return Begin();
      // Taken over from somebody who may have come as far as the row, or as the spool.
      result_->post_id = answer->post_id;
      const TimePoint now = parts_->executor->Now();
      return AwaitOwnersRow(now + std::min<Duration>(kOwnersSpool, (deadline_ - now) / 4));
    }
    case ClaimAnswer::State::kRunning:
      awaits_other_ = true;
      return ReturnStored(answer->post_id, [self] {
        self->claim_timer_ = self->parts_->executor->RunAt(
            self->parts_->executor->Now() + kClaimPoll, [self] { self->ClaimKey(); });
      });
    case ClaimAnswer::State::kDone:
      return ReturnStored(answer->post_id, [self, post_id = answer->post_id] {
        self->Fail(Error(Code::kConflict,
                         "the post that was made under this idempotency_key, " + post_id +
                             ", is no longer in the store; take another key to make a new one",
                         "idempotency_key"));
      });
  }
}

void PostJob::AwaitOwnersRow(TimePoint until) {
  const auto self = shared_from_this();
  ReturnStored(result_->post_id, [self, until] {
    const TimePoint now = self->parts_->executor->Now();
    if (now >= until) return self->Begin();
    self->parts_->executor->RunAt(now + kClaimPoll, [self, until] {
      if (!self->ended_) self->AwaitOwnersRow(until);
    });
  });
}

void PostJob::RenewClaim() {
  claim_timer_ =
      parts_->executor->RunAt(parts_->executor->Now() + kLeaseRenewal, [self = shared_from_this()] {
        self->parts_->ledger->Claim(self->claim_, self->parts_->executor->Now() + kLookupLimit,
                                    [](const Result<ClaimAnswer>& /*answer*/) {});
        self->RenewClaim();
      });
}

void PostJob::ReturnStored(const std::string& post_id, Task absent) {
  const TimePoint limit = KeyDeadline();
  // A callback must be copyable.
  auto shared_absent = std::make_shared<Task>(std::move(absent));
  parts_->store->Get(
      post_id, limit,
      [self = shared_from_this(), shared_absent](Result<std::optional<PostRow>> row) {
        self->Continue([self, shared_absent, row = std::move(row)] {
          if (!row.ok()) return self->Fail(row.error());
          if (row->has_value()) return self->OnStoredRow(**row);
          (*shared_absent)();
        });
      });
}

// The post that was made before under this key.
void PostJob::OnStoredRow(const PostRow& row) {
  result_->post_id = row.post_id;
  result_->title = row.title;
  result_->content = row.content;
  result_->stock_code = row.stock_code;
  result_->stock_name = row.stock_name;
  result_->commodity_tags = row.commodity_tags;
  result_->timestamp = row.created_at;
  result_->versions.clear();
  tasks_.clear();
  if (row.alternative_versions.has_value()) {
    result_->versions = ReadAlternativeVersions(*row.alternative_versions);
  }
  // The chosen one's number is the one that the others leave free.
  VersionResult chosen;
  chosen.version_number = 1;
  for (const VersionResult& other : result_->versions) {
    if (other.version_number == chosen.version_number) ++chosen.version_number;
  }
  chosen.title = row.title;
  chosen.content = row.content;
  result_->chosen = chosen.version_number;
  result_->versions.insert(result_->versions.begin() + chosen.version_number - 1,
                           std::move(chosen));
  result_->usage = {};
  result_->cost_usd = 0.0;
  result_->stored = Stored::kStored;
  result_->warnings.push_back(
      "this is the post that was made before under the idempotency_key; nothing was generated");
  Finish();
}

void PostJob::EndClaim() {
  parts_->executor->CancelTimer(claim_timer_);
  if (!claimed_) return;
  const TimePoint limit = parts_->executor->Now() + kLookupLimit;
  if (result_->ok() && result_->stored == Stored::kStored) {
    parts_->ledger->Finish(claim_, limit, [](const Status& /*status*/) {});
  } else if (!MayBecomeRow()) {
    parts_->ledger->Release(claim_, limit, [](const Status& /*status*/) {});
  }
  // Until the lease ends, nobody makes another; then the next caller goes on under the same post
  // id.
}

bool PostJob::MayBecomeRow() const {
  const bool unwanted = result_->error.has_value() && result_->error->code == Code::kCancelled;
  return writing_ || (journaled_ && !unwanted);
}

// Before anything is paid a store that does not answer is away; who waits for another's post, or
// has a text to lose, waits longer.
TimePoint PostJob::KeyDeadline() const {
  if (!awaits_other_ && !writing_) return LookupDeadline();
  return std::min(deadline_, parts_->executor->Now() + kLookupLimit);
}

TimePoint PostJob::LookupDeadline() const {
  const TimePoint now = parts_->executor->Now();
  return now + std::min<Duration>(kLookupLimit, (deadline_ - now) / 4);
}

void PostJob::CheckStore() {
  if (!request_.store || parts_->store == nullptr) {
    store_checked_ = true;
    return;
  }
  parts_->store->Check(LookupDeadline(), [self = shared_from_this()](Status status) {
    self->Continue([self, status = std::move(status)] { self->OnStoreChecked(status); });
  });
}

void PostJob::OnStoreChecked(const Status& status) {
  if (!status.ok()) {
    const Error& store = status.error();
    if (!store.details.transient) return Fail(store);
    if (parts_->spool == nullptr) return Fail(WithoutSpool(store));
    parts_->spool->Check(deadline_, [self = shared_from_this(), store](Status spool) {
      self->Continue(
          [self, spool = std::move(spool), store] { self->OnSpoolChecked(spool, store); });
    });
    return;
  }
  store_checked_ = true;
  MaybeGenerate();
}

void PostJob::OnSpoolChecked(const Status& spool, const Error& store) {
  if (!spool.ok()) return Fail(spool.error().code == Code::kBusy ? spool.error() : store);
  store_away_ = store;
  store_checked_ = true;
  MaybeGenerate();
}

void PostJob::FindProfile() {
  if (request_.profile.has_value() || parts_->profiles == nullptr || IsManual(request_)) {
    profile_ = request_.profile;
    profile_found_ = true;
    MaybeGenerate();
    return;
  }
  parts_->profiles->Find(
      result_->kol_serial, LookupDeadline(),
      [self = shared_from_this()](Result<FoundProfile> found) {
        self->Continue([self, found = std::move(found)] { self->OnProfileFound(found); });
      });
}

void PostJob::OnProfileFound(const Result<FoundProfile>& found) {
  const std::string kol = "KOL " + std::to_string(result_->kol_serial);
  if (!found.ok()) {
    if (parts_->options.require_kol) return Fail(found.error());
    result_->warnings.push_back("the profile of " + kol + " could not be read (" +
                                found.error().message + "); the request's own fields were used");
  } else if (!found->profile.has_value()) {
    if (parts_->options.require_kol) {
      return Fail(Error(Code::kUnknownKol, kol + " is not in kol_profiles", "kol_serial"));
    }
    result_->warnings.push_back(kol +
                                " is not in kol_profiles; the request's own fields were used");
  } else {
    profile_ = found->profile;
    if (found->stale) {
      result_->warnings.push_back("the profile of " + kol +
                                  " could not be read; the last known one was used");
    }
  }
  profile_found_ = true;
  MaybeGenerate();
}

void PostJob::MaybeGenerate() {
  if (!store_checked_ || !profile_found_) return;
  const LlmOptions& llm = parts_->options.llm;
  rules_.max_words = request_.max_words;
  rules_.posting_type = request_.posting_type;
  rules_.model = ChooseModel(request_, profile(), llm);
  rules_.price = FindPrice(rules_.model, llm.prices);
  if (request_.include_signature && profile() != nullptr) rules_.signature = profile()->signature;
  temperature_ = ChooseTemperature(profile(), llm);
  model_chosen_at_ = parts_->executor->Now();

  if (IsManual(request_)) {
    result_->versions = {MakeManualVersion(request_)};
    result_->cost_usd = 0.0;
    first_version_at_ = last_version_at_ = model_chosen_at_;
    ChooseAndStore();
    return;
  }
  result_->model = rules_.model;
  if (parts_->budget != nullptr) return ReserveCost();
  Generate();
}

// What all the calls may cost, before the first of them.
void PostJob::ReserveCost() {
  std::vector<VersionPlan> plans = parts_->prompts->Build(request_, profile(), "");
  if (request_.draft) plans.push_back(parts_->prompts->BuildDraft(request_, profile()));
  double post_usd = 0;
  double call_usd = 0;
  for (VersionPlan& plan : plans) {
    const LlmRequest request = MakeRequest(std::move(plan), /*stream=*/false);
    const std::optional<double> most = MostCost(request, parts_->options.llm);
    if (!most) return Fail(UnknownPrice(request));
    post_usd += *most;
    call_usd = std::max(call_usd, *most);
  }
  parts_->budget->Reserve(
      MicroUsd(post_usd), generation_deadline_,
      [self = shared_from_this(), call_usd](Result<SpendingBudget::Reservation> reservation) {
        if (!reservation.ok()) {
          return self->Continue([self, error = reservation.error()] { self->Fail(error); });
        }
        // Settled at once if the post has ended by now.
        auto bill = std::make_shared<PostBill>(self->parts_->budget, *reservation, call_usd);
        self->Continue([self, bill = std::move(bill)] {
          self->bill_ = bill;
          self->Generate();
        });
      });
}

void PostJob::Generate() {
  if (request_.draft) {
    StartDraft();
  } else {
    StartVersions("");
  }
}

// --- Versions -----------------------------------------------------------------------------------

LlmRequest PostJob::MakeRequest(VersionPlan plan, bool stream) const {
  const LlmOptions& llm = parts_->options.llm;
  LlmRequest request;
  request.model = rules_.model;
  request.messages = std::move(plan.messages);
  request.max_tokens = ChooseMaxTokens(request_, profile(), llm, rules_.model);
  request.temperature = temperature_;
  request.stream = llm.stream == StreamMode::kAlways || (llm.stream == StreamMode::kAuto && stream);
  request.deadline = generation_deadline_;
  request.posting_type = request_.posting_type;
  request.angle = std::move(plan.angle);
  request.version_number = plan.version_number;
  request.stock_code = request_.stock_code;
  request.stock_name = result_->stock_name;
  request.max_words = request_.max_words;
  return request;
}

void PostJob::StartDraft() {
  const LlmRequest request =
      MakeRequest(parts_->prompts->BuildDraft(request_, profile()), /*stream=*/false);
  LlmSink sink;
  sink.on_done = [self = shared_from_this()](LlmReply reply) {
    self->Continue([self, reply = std::move(reply)] { self->OnDraft(reply); });
  };
  draft_call_ = CallLlm(request, std::move(sink));
}

void PostJob::OnDraft(const LlmReply& reply) {
  result_->draft_attempts = reply.attempts;
  if (!reply.ok()) {
    // The versions would be refused for the same reason.
    const Code code = reply.error->code;
    if (code == Code::kAuth || code == Code::kQuota) return Fail(*reply.error);
    result_->warnings.push_back("the draft failed (" + std::string(CodeName(reply.error->code)) +
                                "); the versions were written without it");
  }
  AddUsage(reply.source, reply.usage, CostOf(reply, RulesFor(reply)));
  StartVersions(reply.ok() ? ParseReply(reply.text).content : "");
}

void PostJob::StartVersions(const std::string& draft) {
  std::vector<VersionPlan> plans = parts_->prompts->Build(request_, profile(), draft);
  tasks_.resize(plans.size());
  result_->versions.resize(plans.size());
  open_versions_ = plans.size();
  for (std::size_t i = 0; i < plans.size(); ++i) {
    result_->versions[i].version_number = plans[i].version_number;
    result_->versions[i].angle = plans[i].angle;
    result_->versions[i].version_type = plans[i].version_type;
    tasks_[i].request = MakeRequest(std::move(plans[i]), stream_);
  }
  // A version may end within StartVersion; the last one ends the post, so nothing may follow this
  // loop.
  for (std::size_t i = 0; i < tasks_.size() && !ended_; ++i) StartVersion(i);
}

void PostJob::StartVersion(std::size_t index) {
  VersionTask& task = tasks_[index];
  const int version_number = task.request.version_number;
  if (stream_) {
    task.request.flow = std::make_shared<Flow>();
    ListenForText(index);
  }
  Event started;
  started.type = Event::Type::kVersionStarted;
  started.version_number = version_number;
  Emit(started);

  const auto self = shared_from_this();
  LlmSink sink;
  if (stream_) {
    sink.on_text = [self, index](std::string_view text) {
      if (self->parts_->executor->InThread()) return self->PushText(index, text);
      self->Continue([self, index, owned = std::string(text)] { self->PushText(index, owned); });
    };
  }
  if (stream_ && restarts_) {
    sink.on_reset = [self, index] { self->Continue([self, index] { self->TakeBackText(index); }); };
  }
  sink.on_done = [self, index](LlmReply reply) {
    self->Continue([self, index, reply = std::move(reply)]() mutable {
      self->OnReply(index, std::move(reply));
    });
  };
  task.call = CallLlm(task.request, std::move(sink));
}

CachedCalls::Ticket PostJob::CallLlm(const LlmRequest& request, LlmSink sink) {
  if (bill_ != nullptr) {
    // Also of a call that the post does not wait for any more.
    sink.on_done = [self = shared_from_this(), on_done = std::move(sink.on_done)](LlmReply reply) {
      self->bill_->Add(CostOf(reply, self->RulesFor(reply)));
      on_done(std::move(reply));
    };
  }
  return parts_->calls->Complete(request_.tenant, request_.cache, request, std::move(sink));
}

void PostJob::ListenForText(std::size_t index) {
  tasks_[index].any_text = false;
  tasks_[index].deltas = std::make_unique<ReplyStream>(
      [this, index](Event::Part part, std::string_view text) { EmitDelta(index, part, text); });
}

// The version is written anew.
void PostJob::TakeBackText(std::size_t index) {
  if (ended_ || tasks_[index].ended || !tasks_[index].any_text) return;
  ListenForText(index);
  Event reset;
  reset.type = Event::Type::kVersionReset;
  reset.version_number = tasks_[index].request.version_number;
  Emit(reset);
}

void PostJob::PushText(std::size_t index, std::string_view text) {
  VersionTask& task = tasks_[index];
  if (ended_ || task.ended) return;
  task.any_text = true;
  task.deltas->Push(text);
}

// Of a text that is there whole: cached, or from a client that does not stream. Those who show it
// as it comes get it in more than one piece.
void PostJob::PushInPieces(std::size_t index, std::string_view text) {
  for (std::size_t at = 0; at < text.size() && !ended_; at += kPieceBytes) {
    PushText(index, text.substr(at, kPieceBytes));
  }
}

void PostJob::OnReply(std::size_t index, LlmReply reply) {
  VersionTask& task = tasks_[index];
  if (task.ended) return;  // it came after generation was due
  if (stream_ && reply.ok()) {
    if (!task.any_text) PushInPieces(index, reply.text);
    task.deltas->End();
  }
  task.provider = reply.provider;
  const VersionRules rules = RulesFor(reply);
  VersionResult version = MakeVersion(result_->versions[index], std::move(reply), rules);
  if (!version.ok() && parts_->options.llm.on_failure == OnFailure::kTemplate) {
    version = FillFromTemplate(index, std::move(version));
  }
  EndVersion(index, std::move(version));
}

VersionResult PostJob::FillFromTemplate(std::size_t index, VersionResult failed) {
  std::optional<LlmReply> written;
  LlmSink sink;
  sink.on_done = [&written](LlmReply reply) { written = std::move(reply); };
  // The template writer answers inline.
  parts_->template_writer->Complete(tasks_[index].request, {}, std::move(sink));
  if (!written.has_value() || !written->ok()) return failed;

  result_->warnings.push_back("version " + std::to_string(failed.version_number) +
                              " is template text: " + failed.error->message);
  VersionResult version = MakeVersion(result_->versions[index], std::move(*written), rules_);
  // What the failed calls cost stays on the bill.
  version.attempts = failed.attempts;
  version.usage = failed.usage;
  version.usage_kind = failed.usage_kind;
  version.cost_usd = failed.cost_usd;
  version.request_id = failed.request_id;
  version.total_ms = failed.total_ms;
  return version;
}

void PostJob::EndVersion(std::size_t index, VersionResult version) {
  tasks_[index].ended = true;
  AddUsage(version.source, version.usage, version.cost_usd);
  if (version.ok() && !first_version_at_.has_value()) {
    first_version_at_ = parts_->executor->Now();
  }
  result_->versions[index] = std::move(version);
  const bool journals = parts_->spool != nullptr && request_.store &&
                        parts_->options.store.journal == Journal::kVersion;
  if (journals && result_->versions[index].ok()) return Journal(index);
  ReportVersion(index);
}

// A finished text is durable before anyone hears of it.
void PostJob::Journal(std::size_t index) {
  journaled_ = true;
  PostResult so_far = *result_;
  so_far.versions.clear();
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    if (tasks_[i].ended && result_->versions[i].ok()) {
      so_far.versions.push_back(result_->versions[i]);
    }
  }
  Choose(result_->versions[index].version_number, &so_far);
  // A late journal may cost a version its safety from a crash, never the post its row: at the end
  // of generation this leaves three quarters of the reserve.
  const TimePoint limit = LookupDeadline();
  // A thread that hangs in an fsync does not see its deadlines.
  tasks_[index].journal_timer = parts_->executor->RunAt(limit, [self = shared_from_this(), index] {
    self->OnJournaled(index, Error(Code::kStore, "the spool did not answer in time"));
  });
  parts_->spool->Keep(
      MakeRow(so_far), SpoolState::kOpen, limit, [self = shared_from_this(), index](Status status) {
        self->Continue(
            [self, index, status = std::move(status)] { self->OnJournaled(index, status); });
      });
}

void PostJob::OnJournaled(std::size_t index, const Status& status) {
  VersionTask& task = tasks_[index];
  if (task.reported) return;  // the answer came after its time
  parts_->executor->CancelTimer(task.journal_timer);
  POSTGEN_FAILPOINT("version.journaled");
  if (!status.ok() && !std::exchange(journal_failed_, true)) {
    result_->warnings.push_back("a version could not be journaled (" + status.error().message +
                                ')');
  }
  ReportVersion(index);
}

void PostJob::ReportVersion(std::size_t index) {
  tasks_[index].reported = true;
  Event done;
  done.type = Event::Type::kVersionDone;
  done.version_number = result_->versions[index].version_number;
  done.version = &result_->versions[index];
  Emit(done);

  if (--open_versions_ > 0 || ended_) return;
  last_version_at_ = parts_->executor->Now();
  ChooseAndStore();
}

void PostJob::LeaveCalls() {
  parts_->calls->Leave(draft_call_);
  for (const VersionTask& task : tasks_) parts_->calls->Leave(task.call);
}

// The model's time is over: what is finished makes the post.
void PostJob::OnGenerationDue() {
  if (ended_ || last_version_at_.has_value()) return;
  const auto has_ended = [](const VersionTask& task) { return task.ended; };
  // All texts are there; the journal has a time of its own.
  if (!tasks_.empty() && std::all_of(tasks_.begin(), tasks_.end(), has_ended)) return;
  result_->deadline_hit = true;
  if (tasks_.empty()) {
    return Fail(Error(Code::kDeadline, "no version could be started before the post was due",
                      "deadline_ms"));
  }
  // A client has the same deadline and can tell more of its call than we can, such as how often it
  // tried: whatever it has set for this instant comes first.
  generation_timer_ = parts_->executor->RunAt(
      parts_->executor->Now(), [self = shared_from_this()] { self->EndLateVersions(); });
}

void PostJob::EndLateVersions() {
  if (ended_ || last_version_at_.has_value()) return;
  for (std::size_t i = 0; i < tasks_.size() && !ended_; ++i) {
    if (tasks_[i].ended) continue;
    LlmReply reply;
    reply.error = Error(Code::kDeadline, "the version was not finished when the post was due");
    OnReply(i, std::move(reply));
  }
  LeaveCalls();
}

// --- The post -----------------------------------------------------------------------------------

void PostJob::ChooseAndStore() {
  Rng rng(seed_);
  LastChosen last_chosen;
  // A seed is to choose the same version each time.
  if (!request_.seed.has_value()) {
    last_chosen = [this](const VersionResult& version) {
      return parts_->recent->LastChosen(request_.tenant, result_->kol_serial, version.content);
    };
  }
  result_->chosen = ChooseVersion(parts_->options.choice, result_->versions, &rng, last_chosen);
  if (result_->chosen == 0) return Fail(WorstError(result_->versions));
  Choose(result_->chosen, result_.get());
  parts_->recent->Add(request_.tenant, result_->kol_serial, result_->content);
  const auto chosen =
      std::find_if(result_->versions.begin(), result_->versions.end(),
                   [this](const VersionResult& v) { return v.version_number == result_->chosen; });
  const std::size_t index = static_cast<std::size_t>(chosen - result_->versions.begin());
  if (index < tasks_.size() && !tasks_[index].provider.empty()) {
    result_->provider = tasks_[index].provider;
  }
  result_->from_cache =
      std::all_of(result_->versions.begin(), result_->versions.end(),
                  [](const VersionResult& v) { return v.source == Source::kCache; });
  if (!request_.store || parts_->store == nullptr) return Finish();
  writing_ = true;
  POSTGEN_FAILPOINT("post.finished");
  if (store_away_.has_value()) return KeepInSpool(*store_away_);
  // What the store leaves of the reserve is the spool's.
  const TimePoint limit =
      parts_->spool == nullptr ? deadline_ : deadline_ - (deadline_ - generation_deadline_) / 2;
  parts_->store->Put(MakeRow(*result_), limit, [self = shared_from_this()](Status status) {
    self->Continue([self, status = std::move(status)] { self->OnStored(status); });
  });
}

void PostJob::Choose(int version_number, PostResult* result) {
  const auto chosen =
      std::find_if(result->versions.begin(), result->versions.end(),
                   [&](const VersionResult& v) { return v.version_number == version_number; });
  result->chosen = version_number;
  result->title = chosen->title;
  result->content = chosen->content;
  result->timestamp = std::chrono::system_clock::now();
}

PostRow PostJob::MakeRow(const PostResult& result) const {
  PostRow row;
  row.post_id = result.post_id;
  row.created_at = result.timestamp;
  row.session_id = request_.session_id;
  row.kol_serial = result.kol_serial;
  row.kol_nickname = result.kol_nickname;
  row.kol_persona = result.kol_persona;
  row.stock_code = result.stock_code;
  row.stock_name = result.stock_name;
  row.title = result.title;
  row.content = result.content;
  row.content_md = result.content;
  row.commodity_tags = result.commodity_tags;
  row.generation_params = GenerationParamsJson(request_, result);
  row.alternative_versions = AlternativeVersionsJson(result);
  row.trigger_type = request_.trigger_type;
  row.generation_mode = request_.generation_mode;
  row.topic_id = request_.topic_id;
  row.topic_title = request_.topic_title;
  row.has_trending_topic = request_.has_trending_topic;
  row.topic_content = request_.topic_content;
  return row;
}

void PostJob::OnStored(const Status& status) {
  if (!status.ok()) {
    if (claimed_ && status.error().code == Code::kConflict) {
      // Somebody took the key over while we were away, and was faster.
      return ReturnStored(result_->post_id,
                          [self = shared_from_this(), status] { self->Fail(status.error()); });
    }
    if (status.error().code == Code::kConflict) return Fail(status.error());
    if (parts_->spool == nullptr) return Fail(WithoutSpool(status.error()));
    return KeepInSpool(status.error());
  }
  POSTGEN_FAILPOINT("post.stored");
  result_->stored = Stored::kStored;
  if (journaled_) parts_->spool->Forget(result_->post_id);
  Finish();
}

void PostJob::KeepInSpool(const Error& store) {
  parts_->spool->Keep(
      MakeRow(*result_), SpoolState::kReady, deadline_,
      [self = shared_from_this(), store](Status spool) {
        self->Continue([self, spool = std::move(spool), store] { self->OnKept(spool, store); });
      });
}

Error PostJob::WithoutSpool(Error store) const {
  if (!parts_->no_spool.empty()) store.message += "; there is no spool: " + parts_->no_spool;
  return store;
}

void PostJob::OnKept(const Status& spool, const Error& store) {
  if (!spool.ok()) return Fail(store);
  POSTGEN_FAILPOINT("post.spooled");
  result_->stored = Stored::kSpooled;
  result_->warnings.push_back("the row waits in the spool: " + store.message);
  Finish();
}

void PostJob::OnDeadline() {
  if (ended_) return;
  result_->deadline_hit = true;
  if (last_version_at_.has_value()) {
    return Fail(Error(Code::kStore,
                      "the store did not answer before the post was due; the row may or may not be "
                      "there, and the texts are in this reply"));
  }
  Fail(Error(Code::kDeadline, "nothing was ready when the post was due", "deadline_ms"));
}

void PostJob::Cancel(Error error) {
  if (ended_) return;
  if (last_version_at_.has_value() && request_.store && parts_->store != nullptr) {
    error.message += " while its row was being written; the row may or may not be there";
  }
  Fail(std::move(error));
}

void PostJob::Fail(Error error) {
  result_->error = std::move(error);
  Finish();
}

void PostJob::Finish() {
  ended_ = true;
  parts_->executor->CancelTimer(deadline_timer_);
  parts_->executor->CancelTimer(generation_timer_);
  for (const VersionTask& task : tasks_) parts_->executor->CancelTimer(task.journal_timer);
  EndClaim();
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    VersionResult& version = result_->versions[i];
    if (!tasks_[i].ended && result_->error.has_value()) {
      version.error = Error(result_->error->code, "the post ended before the version did");
    }
  }
  LeaveCalls();
  if (journaled_ && !result_->ok()) {
    // Nobody wants what was cancelled; what failed late was paid for and becomes a row.
    if (result_->error->code == Code::kCancelled) {
      parts_->spool->Forget(result_->post_id);
    } else {
      parts_->spool->Release(result_->post_id);
    }
  }
  if (!result_->ok()) result_->timestamp = std::chrono::system_clock::now();
  result_->timings = MeasureStages();
  parts_->metrics->PostEnded(*result_);

  if (on_ending_) std::exchange(on_ending_, nullptr)();
  Event last;
  last.type = result_->ok() ? Event::Type::kPost : Event::Type::kError;
  last.result = result_;
  Emit(last);
  const DoneCallback done = std::exchange(done_, nullptr);
  done(result_);
}

Timings PostJob::MeasureStages() const {
  const TimePoint now = parts_->executor->Now();
  const TimePoint chosen = model_chosen_at_.value_or(now);
  const TimePoint last = last_version_at_.value_or(now);
  const TimePoint first = first_version_at_.value_or(last);
  Timings timings;
  timings.parse_request_ms = request_.parse_ms + Milliseconds(parsed_at_ - started_at_);
  timings.model_selection_db_ms = Milliseconds(chosen - parsed_at_);
  timings.gpt_generation_ms = Milliseconds(first - chosen);
  timings.alternative_versions_ms = Milliseconds(last - first);
  timings.database_write_ms = Milliseconds(now - last);
  timings.total_time_ms = request_.parse_ms + Milliseconds(now - started_at_);
  return timings;
}

void PostJob::Continue(Task continuation) {
  if (parts_->executor->InThread()) {
    if (!ended_) continuation();
    return;
  }
  parts_->executor->Post(
      [self = shared_from_this(), continuation = std::move(continuation)]() mutable {
        if (!self->ended_) continuation();
      });
}

void PostJob::Emit(Event event) {
  if (observer_ == nullptr) return;
  event.call_id = call_id_;
  observer_->OnEvent(event);
}

void PostJob::EmitDelta(std::size_t index, Event::Part part, std::string_view text) {
  Event delta;
  delta.type = Event::Type::kDelta;
  delta.call_id = call_id_;
  delta.version_number = tasks_[index].request.version_number;
  delta.part = part;
  delta.text = text;
  delta.flow = tasks_[index].request.flow;
  observer_->OnEvent(delta);
  if (std::exchange(in_burst_, true)) return;
  // Runs when the reactor has read what there is to read now.
  parts_->executor->Post([self = shared_from_this()] {
    self->in_burst_ = false;
    if (!self->ended_) self->observer_->OnBurstEnd();
  });
}

VersionRules PostJob::RulesFor(const LlmReply& reply) const {
  VersionRules rules = rules_;
  if (reply.asked_model.empty()) return rules;
  rules.model = reply.asked_model;
  rules.price = FindPrice(rules.model, parts_->options.llm.prices);
  return rules;
}

void PostJob::AddUsage(Source source, const Usage& usage, std::optional<double> cost_usd) {
  // What a cached text once took was paid for then; its own cost is 0.
  if (source != Source::kCache) {
    result_->usage.prompt_tokens += usage.prompt_tokens;
    result_->usage.completion_tokens += usage.completion_tokens;
    result_->usage.cached_tokens += usage.cached_tokens;
  }
  // A sum that leaves something out would look like the whole.
  cost_known_ = cost_known_ && cost_usd.has_value();
  result_->cost_usd =
      cost_known_ ? std::optional(result_->cost_usd.value_or(0) + *cost_usd) : std::nullopt;
}

}  // namespace postgen
