// Posts and profiles in PostgreSQL.
#ifndef POSTGEN_SRC_STORE_POSTGRES_STORES_H_
#define POSTGEN_SRC_STORE_POSTGRES_STORES_H_

#include <memory>

#include "postgen/post_store.h"
#include "postgen/profile_store.h"
#include "runtime/event_loop.h"
#include "store/postgres_pool.h"
#include "store/request_ledger.h"
#include "store/spending_ledger.h"

namespace postgen {

// Stores of one pool share its connections. REQUIRES: `loop`, which is the pool's, outlives them.
std::unique_ptr<PostStore> NewPostgresPostStore(std::shared_ptr<PostgresPool> pool,
                                                EventLoop* loop);
std::unique_ptr<ProfileStore> NewPostgresProfileStore(std::shared_ptr<PostgresPool> pool,
                                                      EventLoop* loop);
std::unique_ptr<RequestLedger> NewPostgresLedger(std::shared_ptr<PostgresPool> pool,
                                                 EventLoop* loop);
std::unique_ptr<SpendingLedger> NewPostgresSpending(std::shared_ptr<PostgresPool> pool,
                                                    EventLoop* loop);

}  // namespace postgen

#endif  // POSTGEN_SRC_STORE_POSTGRES_STORES_H_
