#include "store/postgres_calls.h"

#include <string>
#include <variant>

namespace postgen {

void PostgresCalls::RunAll(PostgresTransaction transaction, TimePoint deadline,
                           FailureCallback on_failure, ResultsCallback on_results,
                           PostgresRepeat repeat) {
  pool_->Run(std::move(transaction), repeat, deadline,
             [weak = weak_from_this(), on_failure = std::move(on_failure),
              on_results = std::move(on_results)](const PostgresReply& reply) {
               const auto self = weak.lock();
               if (!self) return;
               if (const auto* failure = std::get_if<PostgresFailure>(&reply)) {
                 self->OnFailure(*failure);
                 on_failure(*failure);
               } else {
                 on_results(std::get<std::vector<PostgresResult>>(reply));
               }
             });
}

void PostgresCalls::Run(PostgresStatement statement, TimePoint deadline, ErrorCallback on_error,
                        ResultCallback on_result, PostgresRepeat repeat) {
  PostgresTransaction transaction;
  transaction.push_back(std::move(statement));
  RunAll(
      std::move(transaction), deadline,
      [on_error = std::move(on_error)](const PostgresFailure& failure) { on_error(failure.error); },
      [on_result = std::move(on_result)](const std::vector<PostgresResult>& results) {
        on_result(results.front().get());
      },
      repeat);
}

Error PostgresCalls::Late(const std::string& shown) {
  Error error(Code::kStore, "PostgreSQL " + shown + ": no answer before the deadline", shown);
  error.details.transient = true;
  return error;
}

}  // namespace postgen
