// Runs a script of ours as Redis would, in Redis's own Lua, on hashes in memory and a clock that
// the test moves: for simulations, in which a server's time cannot be waited for.
#ifndef POSTGEN_TESTS_UNIT_LIMITS_SCRIPT_REDIS_H_
#define POSTGEN_TESTS_UNIT_LIMITS_SCRIPT_REDIS_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "redis/redis_client.h"

struct lua_State;

namespace postgen::testing {

class ScriptRedis {
 public:
  ScriptRedis();
  ~ScriptRedis();
  ScriptRedis(const ScriptRedis&) = delete;
  ScriptRedis& operator=(const ScriptRedis&) = delete;

  // `command` is EVAL with its arguments. Knows TIME, HMGET, HSET and PEXPIRE, and integers, texts
  // and arrays of them as answers. Throws std::runtime_error with the script's error.
  RedisReply Run(const std::vector<std::string>& command, double now_s);
  // Forgets all, as a server that was started anew.
  void Clear() { hashes_.clear(); }

 private:
  static int Call(lua_State* lua);

  std::map<std::string, std::map<std::string, std::string>> hashes_;
  double now_s_ = 0;
  std::string compiled_;  // the script in the registry
  lua_State* lua_;
};

}  // namespace postgen::testing

#endif  // POSTGEN_TESTS_UNIT_LIMITS_SCRIPT_REDIS_H_
