// Parts of the generator that are tables of C functions.
#ifndef POSTGEN_CAPI_PLUGINS_H_
#define POSTGEN_CAPI_PLUGINS_H_

#include <memory>
#include <string_view>
#include <vector>

#include "callbacks.h"
#include "errors.h"
#include "postgen/c.h"
#include "postgen/generator.h"

namespace postgen::capi {

struct Plugins {
  Parts parts;
  // The user data of the tables: to be armed when the generator has taken the parts.
  std::vector<std::shared_ptr<UserData>> user_data;
};

// The parts that `tables` (may be null) describe. Fails with kInvalidConfig naming the table.
Result<Plugins> MakePlugins(const postgen_plugins* tables);

// postgen_reply_complete and postgen_reply_fail.
Outcome CompleteReply(postgen_reply* reply, std::string_view answer);
Outcome FailReply(postgen_reply* reply, Error error);

}  // namespace postgen::capi

#endif  // POSTGEN_CAPI_PLUGINS_H_
