// What every RequestLedger must do; one suite over all implementations.
#ifndef POSTGEN_TESTS_CONTRACT_REQUEST_LEDGER_CONTRACT_H_
#define POSTGEN_TESTS_CONTRACT_REQUEST_LEDGER_CONTRACT_H_

#include <functional>
#include <memory>
#include <string>

#include "store/request_ledger.h"

namespace postgen {

// Of tenant "t" and key "k", proposing "post-of-OWNER".
RequestClaim TestClaim(const std::string& owner, const std::string& hash = "h");

Result<ClaimAnswer> ClaimAndWait(RequestLedger* ledger, const RequestClaim& claim);
Status FinishAndWait(RequestLedger* ledger, const RequestClaim& claim);
Status ReleaseAndWait(RequestLedger* ledger, const RequestClaim& claim);

// `one` and `other` are of two processes on one table, as far as they can tell; `query` runs SQL
// on it and returns the first value it tells, if any. Call it from a test case: it has subcases,
// each of which needs a table of its own.
void CheckRequestLedgerContract(RequestLedger* one, RequestLedger* other,
                                const std::function<std::string(const std::string& sql)>& query);

}  // namespace postgen

#endif  // POSTGEN_TESTS_CONTRACT_REQUEST_LEDGER_CONTRACT_H_
