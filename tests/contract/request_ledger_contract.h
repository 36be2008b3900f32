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

// `one` and `other` are of two processes on one table, as far as they can tell; `execute` runs SQL
// on it. Call it from a test case: it has subcases, each of which needs a table of its own.
void CheckRequestLedgerContract(RequestLedger* one, RequestLedger* other,
                                const std::function<void(const std::string& sql)>& execute);

}  // namespace postgen

#endif  // POSTGEN_TESTS_CONTRACT_REQUEST_LEDGER_CONTRACT_H_
