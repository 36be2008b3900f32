#include "unit/limits/script_redis.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

#include <lua.hpp>

namespace postgen::testing {
namespace {

constexpr char kScript[] = "script";

std::string ToText(lua_State* lua, int index) {
  // As Redis writes numbers.
  if (lua_type(lua, index) == LUA_TNUMBER) {
    char text[64];
    std::snprintf(text, sizeof text, "%.17g", lua_tonumber(lua, index));
    return text;
  }
  std::size_t size = 0;
  const char* text = lua_tolstring(lua, index, &size);
  return text == nullptr ? std::string() : std::string(text, size);
}

void Push(lua_State* lua, const std::string& text) {
  lua_pushlstring(lua, text.data(), text.size());
}

void SetList(lua_State* lua, const char* name, const std::vector<std::string>& values) {
  lua_newtable(lua);
  for (std::size_t i = 0; i < values.size(); ++i) {
    Push(lua, values[i]);
    lua_rawseti(lua, -2, static_cast<int>(i) + 1);
  }
  lua_setglobal(lua, name);
}

RedisReply ToReply(lua_State* lua, int index) {
  RedisReply reply;
  if (lua_type(lua, index) == LUA_TNUMBER) {
    reply.kind = RedisReply::Kind::kInteger;
    reply.integer = static_cast<std::int64_t>(lua_tonumber(lua, index));
  } else if (lua_type(lua, index) == LUA_TSTRING) {
    reply.kind = RedisReply::Kind::kText;
    reply.text = ToText(lua, index);
  } else if (lua_type(lua, index) == LUA_TTABLE) {
    reply.kind = RedisReply::Kind::kArray;
    for (int i = 1;; ++i) {
      lua_rawgeti(lua, index, i);
      if (lua_isnil(lua, -1)) break;
      reply.elements.push_back(ToReply(lua, lua_gettop(lua)));
      lua_pop(lua, 1);
    }
    lua_pop(lua, 1);
  } else {
    reply.kind = RedisReply::Kind::kNil;
  }
  return reply;
}

}  // namespace

ScriptRedis::ScriptRedis() : lua_(luaL_newstate()) {
  luaL_openlibs(lua_);
  lua_newtable(lua_);
  lua_pushlightuserdata(lua_, this);
  lua_pushcclosure(lua_, Call, 1);
  lua_setfield(lua_, -2, "call");
  lua_setglobal(lua_, "redis");
}

ScriptRedis::~ScriptRedis() { lua_close(lua_); }

int ScriptRedis::Call(lua_State* lua) {
  auto* self = static_cast<ScriptRedis*>(lua_touserdata(lua, lua_upvalueindex(1)));
  std::vector<std::string> arguments;
  for (int i = 1; i <= lua_gettop(lua); ++i) arguments.push_back(ToText(lua, i));
  const std::string& name = arguments[0];
  if (name == "TIME") {
    lua_newtable(lua);
    const double whole = std::floor(self->now_s_);
    Push(lua, std::to_string(static_cast<long long>(whole)));
    lua_rawseti(lua, -2, 1);
    Push(lua, std::to_string(static_cast<long long>((self->now_s_ - whole) * 1e6)));
    lua_rawseti(lua, -2, 2);
    return 1;
  }
  if (name == "HMGET") {
    lua_newtable(lua);
    const auto& hash = self->hashes_[arguments[1]];
    for (std::size_t i = 2; i < arguments.size(); ++i) {
      const auto found = hash.find(arguments[i]);
      if (found == hash.end()) {
        lua_pushboolean(lua, 0);
      } else {
        Push(lua, found->second);
      }
      lua_rawseti(lua, -2, static_cast<int>(i) - 1);
    }
    return 1;
  }
  if (name == "HSET") {
    for (std::size_t i = 2; i + 1 < arguments.size(); i += 2) {
      self->hashes_[arguments[1]][arguments[i]] = arguments[i + 1];
    }
  } else if (name != "PEXPIRE") {
    lua_pushstring(lua, ("unknown command " + name).c_str());
    return lua_error(lua);
  }
  lua_pushnumber(lua, 1);
  return 1;
}

RedisReply ScriptRedis::Run(const std::vector<std::string>& command, double now_s) {
  now_s_ = now_s;
  const auto fail = [this] {
    const std::string error = ToText(lua_, -1);
    lua_settop(lua_, 0);
    throw std::runtime_error(error);
  };
  if (compiled_ != command.at(1)) {
    compiled_ = command[1];
    if (luaL_loadbuffer(lua_, compiled_.data(), compiled_.size(), kScript) != 0) fail();
    lua_setfield(lua_, LUA_REGISTRYINDEX, kScript);
  }
  const auto first_argument = command.begin() + 3 + std::atoi(command.at(2).c_str());
  SetList(lua_, "KEYS", {command.begin() + 3, first_argument});
  SetList(lua_, "ARGV", {first_argument, command.end()});
  lua_getfield(lua_, LUA_REGISTRYINDEX, kScript);
  if (lua_pcall(lua_, 0, 1, 0) != 0) fail();
  RedisReply reply = ToReply(lua_, 1);
  lua_settop(lua_, 0);
  return reply;
}

}  // namespace postgen::testing
