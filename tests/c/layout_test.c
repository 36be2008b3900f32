/* The layout that callers of version 1 were compiled with. A line here never changes; a member that
 * is added to a table gets a line of its own. */
#include <assert.h>
#include <stdalign.h>

#include "postgen/c.h"

#define MEMBER(type, member, offset) \
  static_assert(offsetof(type, member) == (offset), #type "." #member " has moved")
#define SIZE(type, size) \
  static_assert(sizeof(type) == (size) && alignof(type) == 8, #type " has changed")

SIZE(postgen_str, 16);
MEMBER(postgen_str, ptr, 0);
MEMBER(postgen_str, len, 8);

SIZE(postgen_event, 56);
MEMBER(postgen_event, type, 0);
MEMBER(postgen_event, part, 4);
MEMBER(postgen_event, version_number, 8);
MEMBER(postgen_event, reserved, 12);
MEMBER(postgen_event, call_id, 16);
MEMBER(postgen_event, text, 24);
MEMBER(postgen_event, json, 40);

SIZE(postgen_callback, 32);
MEMBER(postgen_callback, struct_size, 0);
MEMBER(postgen_callback, reserved, 4);
MEMBER(postgen_callback, user_data, 8);
MEMBER(postgen_callback, destroy, 16);
MEMBER(postgen_callback, on_event, 24);

SIZE(postgen_plugins, 32);
MEMBER(postgen_plugins, struct_size, 0);
MEMBER(postgen_plugins, reserved, 4);
MEMBER(postgen_plugins, llm, 8);
MEMBER(postgen_plugins, cache, 16);
MEMBER(postgen_plugins, store, 24);

SIZE(postgen_llm_plugin, 48);
MEMBER(postgen_llm_plugin, struct_size, 0);
MEMBER(postgen_llm_plugin, reserved, 4);
MEMBER(postgen_llm_plugin, user_data, 8);
MEMBER(postgen_llm_plugin, destroy, 16);
MEMBER(postgen_llm_plugin, name, 24);
MEMBER(postgen_llm_plugin, complete, 40);

SIZE(postgen_cache_plugin, 40);
MEMBER(postgen_cache_plugin, struct_size, 0);
MEMBER(postgen_cache_plugin, reserved, 4);
MEMBER(postgen_cache_plugin, user_data, 8);
MEMBER(postgen_cache_plugin, destroy, 16);
MEMBER(postgen_cache_plugin, get, 24);
MEMBER(postgen_cache_plugin, put, 32);

SIZE(postgen_store_plugin, 40);
MEMBER(postgen_store_plugin, struct_size, 0);
MEMBER(postgen_store_plugin, reserved, 4);
MEMBER(postgen_store_plugin, user_data, 8);
MEMBER(postgen_store_plugin, destroy, 16);
MEMBER(postgen_store_plugin, check, 24);
MEMBER(postgen_store_plugin, put, 32);

static_assert(sizeof(postgen_code) == 4, "codes are 32 bits wide");
static_assert(POSTGEN_OK == 0 && POSTGEN_INVALID_REQUEST == 1 && POSTGEN_INTERNAL == 31,
              "codes keep their numbers");
