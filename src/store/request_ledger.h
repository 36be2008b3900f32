// The requests that carry an idempotency key: who makes which post under which key. One table of
// our own beside the posts, so that it holds for every process that writes to the same store.
//
// A claim is a lease: its owner renews it while the post is made, and when the owner is gone
// somebody else takes it over, under the same post id. So a crash may cost a second generation, and
// never makes a second row.
#ifndef POSTGEN_SRC_STORE_REQUEST_LEDGER_H_
#define POSTGEN_SRC_STORE_REQUEST_LEDGER_H_

#include <chrono>
#include <functional>
#include <string>

#include "postgen/types.h"
#include "store/schema.h"

namespace postgen {

inline constexpr std::string_view kRequestTable = "postgen_requests";

// How long a claim holds that is not renewed, and how often it is renewed.
inline constexpr std::chrono::milliseconds kLease{15000};
inline constexpr std::chrono::milliseconds kLeaseRenewal{5000};
// For so long a key returns its post.
inline constexpr std::chrono::hours kKeyLifetime{24};
// So many expired keys are deleted after one post in 256, which is more than were made meanwhile.
inline constexpr int kMostCleared = 1000;

struct RequestClaim {
  std::string tenant;
  std::string key;
  std::string request_hash;
  std::string post_id;  // proposed
  std::string owner;    // unlike any other's
};

struct ClaimAnswer {
  enum class State {
    kOurs,      // make the post
    kRunning,   // somebody else makes it
    kDone,      // it is in the store
    kConflict,  // the key belongs to another request
  };
  State state = State::kOurs;
  std::string post_id;  // the one to be used, whoever proposed it
};

class RequestLedger {
 public:
  using ClaimCallback = std::function<void(Result<ClaimAnswer>)>;
  using DoneCallback = std::function<void(Status)>;

  RequestLedger() = default;
  RequestLedger(const RequestLedger&) = delete;
  RequestLedger& operator=(const RequestLedger&) = delete;
  // By then every operation has called back.
  virtual ~RequestLedger() = default;

  // All functions return at once, are thread-safe, and call back once by `deadline`, from any
  // thread. Errors are kStore; without the table, naming `postgen migrate`.

  // Takes the key, or says who has it. Renews a claim that is ours already.
  virtual void Claim(RequestClaim claim, TimePoint deadline, ClaimCallback done) = 0;
  // Our post is in the store.
  virtual void Finish(RequestClaim claim, TimePoint deadline, DoneCallback done) = 0;
  // There will be no post of ours: the next who asks may begin.
  virtual void Release(RequestClaim claim, TimePoint deadline, DoneCallback done) = 0;
};

// --- The statements; parameters are numbered from 1 in the order of the comments.

struct LedgerSql {
  std::string create;
  std::string claim;   // tenant, key, request_hash, post_id, owner -> post_id, or no row
  std::string look;    // tenant, key -> post_id, request_hash, state
  std::string finish;  // tenant, key, owner
  // tenant, key, owner: after some of the posts (owners are random), deletes keys that have
  // expired, kMostCleared at the most. PostgreSQL does it with `finish`, at no round trip; there it
  // is empty.
  std::string clear;
  std::string release;  // tenant, key, owner
};

LedgerSql MakeLedgerSql(SqlDialect dialect);

// What a look tells: columns as LedgerSql::look returns them.
ClaimAnswer JudgeClaim(const RequestClaim& claim, std::string_view post_id,
                       std::string_view request_hash, std::string_view state);

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_REQUEST_LEDGER_H_
