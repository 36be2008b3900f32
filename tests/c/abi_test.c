/* The C ABI as a C program meets it: posts, events, plugins, and every wrong way to call it. */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "postgen/c.h"

#define ENOUGH_MS 20000 /* for what is certain to come; a test that waits so long has failed */

/* A literal as an initialiser. */
#define TEXT(literal) \
  { literal, sizeof(literal) - 1 }

static const postgen_str kEmpty = {NULL, 0};
static const postgen_str kTemplate = TEXT("{\"llm\": {\"provider\": \"template\"}}");
static const postgen_str kRequest = TEXT("{\"stock_code\": \"2330\", \"kol_serial\": 208}");

static postgen_str Str(const char* text) { return (postgen_str){text, strlen(text)}; }

static bool Contains(postgen_str text, const char* part) {
  return text.ptr != NULL && memmem(text.ptr, text.len, part, strlen(part)) != NULL;
}

static postgen_generator* NewGenerator(postgen_str options, const postgen_plugins* plugins) {
  postgen_generator* generator = NULL;
  postgen_error* error = NULL;
  CHECK_CODE(postgen_generator_create(options, plugins, &generator, &error), POSTGEN_OK);
  if (error != NULL) {
    const postgen_str json = postgen_error_json(error);
    fprintf(stderr, "%.*s\n", (int)json.len, json.ptr);
    postgen_error_destroy(&error);
  }
  return generator;
}

/* --- User data that counts its destructions ----------------------------------------------------
 */

typedef struct Counter {
  atomic_int destroyed;
  atomic_int events;
  atomic_int last_type;
} Counter;

static pthread_mutex_t signal_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t signal_changed = PTHREAD_COND_INITIALIZER;

static void Increase(atomic_int* value) {
  pthread_mutex_lock(&signal_mutex);
  atomic_fetch_add(value, 1);
  pthread_cond_broadcast(&signal_changed);
  pthread_mutex_unlock(&signal_mutex);
}

static struct timespec Enough(void) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += ENOUGH_MS / 1000;
  return until;
}

/* Waits until *value, which Increase() changes, is `wanted`. */
static bool Await(atomic_int* value, int wanted) {
  const struct timespec until = Enough();
  pthread_mutex_lock(&signal_mutex);
  while (atomic_load(value) != wanted &&
         pthread_cond_timedwait(&signal_changed, &signal_mutex, &until) == 0) {
  }
  pthread_mutex_unlock(&signal_mutex);
  return atomic_load(value) == wanted;
}

static void CountDestroy(void* user_data) { Increase(&((Counter*)user_data)->destroyed); }

static void CountEvent(void* user_data, const postgen_event* event) {
  Counter* counter = user_data;
  atomic_store(&counter->last_type, event->type);
  Increase(&counter->events);
}

static postgen_callback CallbackTable(Counter* counter) {
  return (postgen_callback){.struct_size = sizeof(postgen_callback),
                            .user_data = counter,
                            .destroy = CountDestroy,
                            .on_event = CountEvent};
}

/* --- Posts -------------------------------------------------------------------------------------
 */

static void TestVersions(void) {
  CHECK(postgen_abi_version() == POSTGEN_ABI_VERSION);
  CHECK(strchr(postgen_version(), '.') != NULL);
}

static void TestGenerateAndStore(const char* folder) {
  char options[512];
  snprintf(options, sizeof(options),
           "{\"llm\": {\"provider\": \"template\"}, \"store\": {\"url\": \"sqlite:%s/posts.db\"}}",
           folder);
  postgen_generator* generator = NewGenerator(Str(options), NULL);
  postgen_result* result = NULL;
  postgen_error* error = NULL;
  CHECK_CODE(postgen_generate(generator, kRequest, &result, &error), POSTGEN_OK);
  CHECK(error == NULL);
  const postgen_str json = postgen_result_json(result);
  CHECK(Contains(json, "\"success\":true"));
  CHECK(Contains(json, "\"stored\":\"stored\""));
  CHECK(Contains(json, "\"source\":\"template\""));

  postgen_string* metrics = NULL;
  CHECK_CODE(postgen_metrics(generator, &metrics, &error), POSTGEN_OK);
  CHECK(postgen_string_get(metrics).len > 2);
  postgen_string_destroy(&metrics);
  CHECK(metrics == NULL);

  postgen_result_destroy(&result);
  CHECK(result == NULL);
  postgen_generator_destroy(&generator);
  CHECK(generator == NULL);
}

/* The warning that a post was made before. */
static bool WasMadeBefore(postgen_generator* generator, postgen_str request, postgen_code code) {
  postgen_result* result = NULL;
  postgen_error* error = NULL;
  CHECK_CODE(postgen_generate(generator, request, &result, &error), code);
  const bool before = code == POSTGEN_OK && Contains(postgen_result_json(result), "made before");
  postgen_error_destroy(&error);
  postgen_result_destroy(&result);
  return before;
}

static void TestIdempotencyKey(const char* folder) {
  static const postgen_str kKeyed =
      TEXT("{\"stock_code\": \"2330\", \"kol_serial\": 208, \"idempotency_key\": \"k\"}");
  static const postgen_str kOther =
      TEXT("{\"stock_code\": \"2317\", \"kol_serial\": 208, \"idempotency_key\": \"k\"}");
  char options[512];
  snprintf(options, sizeof(options),
           "{\"llm\": {\"provider\": \"template\"}, \"store\": {\"url\": \"sqlite:%s/posts.db\"}}",
           folder);
  for (int i = 0; i < 2; ++i) {
    postgen_generator* generator = NewGenerator(Str(options), NULL);
    CHECK(WasMadeBefore(generator, kKeyed, POSTGEN_OK) == (i > 0));
    WasMadeBefore(generator, kOther, POSTGEN_CONFLICT);
    postgen_generator_destroy(&generator);
  }
  postgen_generator* generator = NewGenerator(kTemplate, NULL);
  WasMadeBefore(generator, kKeyed, POSTGEN_INVALID_REQUEST); /* nowhere to keep it */
  postgen_generator_destroy(&generator);
}

static void TestBadDocuments(void) {
  static const struct {
    postgen_str options;
    const char* says;
  } kOptions[] = {
      {TEXT("{"), "options"},
      {TEXT("[]"), "options"},
      {TEXT("{\"llm\": {\"nope\": 1}}"), "nope"},
      {{NULL, 5}, "options_json"},
      {{NULL, 0}, "api_key"}, /* all defaults, and so no key */
      {TEXT("\xff\xfe"), "options"},
      {TEXT("{\"store\": {\"pool_max\": -1}}"), "pool_max"},
  };
  for (size_t i = 0; i < sizeof(kOptions) / sizeof(kOptions[0]); ++i) {
    postgen_generator* generator = NULL;
    postgen_error* error = NULL;
    CHECK_CODE(postgen_generator_create(kOptions[i].options, NULL, &generator, &error),
               POSTGEN_INVALID_CONFIG);
    CHECK(generator == NULL);
    CHECK_CODE(postgen_error_code(error), POSTGEN_INVALID_CONFIG);
    CHECK(Contains(postgen_error_json(error), kOptions[i].says));
    CHECK(Contains(postgen_error_json(error), "\"success\":false"));
    postgen_error_destroy(&error);
  }

  static const postgen_str kRequests[] = {
      TEXT(""),
      {NULL, 0},
      {NULL, 7},
      TEXT("{"),
      TEXT("7"),
      TEXT("{\"stock_code\": \"2330\"}"),
      TEXT("{\"stock_code\": \"2330\", \"kol_serial\": 208} x"),
      TEXT("{\"stock_code\": \"\xff\", \"kol_serial\": 208}"),
      TEXT("{\"stock_code\": \"2330\", \"kol_serial\": 208, \"versions\": 11}"),
      TEXT("{\"stock_code\": \"a\0b\", \"kol_serial\": 208}"),
  };
  postgen_generator* generator = NewGenerator(kTemplate, NULL);
  for (size_t i = 0; i < sizeof(kRequests) / sizeof(kRequests[0]); ++i) {
    postgen_result* result = NULL;
    postgen_call* call = NULL;
    postgen_error* error = NULL;
    CHECK_CODE(postgen_generate(generator, kRequests[i], &result, &error), POSTGEN_INVALID_REQUEST);
    CHECK_CODE(postgen_error_code(error), POSTGEN_INVALID_REQUEST);
    CHECK_CODE(postgen_start(generator, kRequests[i], 0, &call, &error), POSTGEN_INVALID_REQUEST);
    CHECK(result == NULL && call == NULL);
    postgen_error_destroy(&error);
  }
  char* large = malloc(3 << 20);
  memset(large, ' ', 3 << 20);
  postgen_result* result = NULL;
  CHECK_CODE(postgen_generate(generator, (postgen_str){large, 3 << 20}, &result, NULL),
             POSTGEN_INVALID_REQUEST);
  free(large);

  CHECK_CODE(postgen_generate(generator, kRequest, &result, NULL), POSTGEN_OK);
  postgen_result_destroy(&result);
  postgen_generator_destroy(&generator);
}

/* --- Handles and errors ------------------------------------------------------------------------
 */

/* Every function on a generator handle that is not alive. */
static void CheckDeadGenerator(postgen_generator* dead, postgen_code code) {
  postgen_result* result = NULL;
  postgen_call* call = NULL;
  postgen_string* text = NULL;
  postgen_error* error = NULL;
  postgen_event event;
  CHECK_CODE(postgen_generate(dead, kRequest, &result, &error), code);
  CHECK_CODE(postgen_error_code(error), code);
  CHECK_CODE(postgen_start(dead, kRequest, 0, &call, &error), code);
  CHECK_CODE(postgen_generator_close(dead, 0, &error), code);
  CHECK_CODE(postgen_metrics(dead, &text, &error), code);
  CHECK_CODE(postgen_set_callback(dead, NULL, &error), code);
  CHECK(postgen_generator_event_fd(dead) == -1);
  CHECK(postgen_generator_next_events(dead, -1, &event, 1) == 0);
  CHECK(result == NULL && call == NULL && text == NULL);
  postgen_error_destroy(&error);
  postgen_generator_destroy(&dead);
  CHECK(dead == NULL);
}

static void TestDeadHandles(void) {
  CheckDeadGenerator(NULL, POSTGEN_INVALID_REQUEST);
  int foreign = 0;
  CheckDeadGenerator((postgen_generator*)&foreign, POSTGEN_INVALID_REQUEST);
  CheckDeadGenerator((postgen_generator*)1, POSTGEN_INVALID_REQUEST);

  postgen_generator* generator = NewGenerator(kTemplate, NULL);
  postgen_generator* stale = generator;
  postgen_call* call = NULL;
  CHECK_CODE(postgen_start(generator, kRequest, 0, &call, NULL), POSTGEN_OK);
  CHECK(postgen_call_id(call) != 0);
  CheckDeadGenerator((postgen_generator*)call, POSTGEN_INVALID_REQUEST); /* of another kind */
  postgen_generator_destroy(&generator);
  CheckDeadGenerator(stale, POSTGEN_INVALID_REQUEST);
  generator = NewGenerator(kTemplate, NULL);
  CHECK(generator != stale); /* no name is used twice */
  CheckDeadGenerator(stale, POSTGEN_INVALID_REQUEST);
  postgen_generator_destroy(&generator);

  /* The call outlives its generator. */
  CHECK(postgen_call_id(call) != 0);
  postgen_call_cancel(call);
  postgen_call* const old_call = call;
  postgen_call_destroy(&call);
  CHECK(call == NULL);
  postgen_call_cancel(old_call);
  CHECK(postgen_call_id(old_call) == 0);
  CHECK(postgen_call_id(NULL) == 0);
  postgen_call_cancel(NULL);

  postgen_result* result = (postgen_result*)&foreign;
  CHECK(postgen_result_json(result).ptr == NULL);
  CHECK(postgen_result_json(NULL).len == 0);
  postgen_result_destroy(&result);
  CHECK(result == NULL);
  CHECK(postgen_string_get((postgen_string*)&foreign).ptr == NULL);
  CHECK_CODE(postgen_error_code(NULL), POSTGEN_OK);
  CHECK_CODE(postgen_error_code((postgen_error*)&foreign), POSTGEN_INVALID_REQUEST);
  CHECK(postgen_error_json((postgen_error*)&foreign).ptr == NULL);
  CHECK_CODE(postgen_reply_complete(NULL, kEmpty, NULL), POSTGEN_INVALID_REQUEST);
  CHECK_CODE(postgen_reply_fail((postgen_reply*)&foreign, POSTGEN_STORE, kEmpty, NULL),
             POSTGEN_INVALID_REQUEST);

  postgen_generator_destroy(NULL);
  postgen_call_destroy(NULL);
  postgen_result_destroy(NULL);
  postgen_error_destroy(NULL);
  postgen_string_destroy(NULL);
}

static void TestNullOut(void) {
  postgen_generator* generator = NewGenerator(kTemplate, NULL);
  postgen_error* error = NULL;
  CHECK_CODE(postgen_generator_create(kTemplate, NULL, NULL, &error), POSTGEN_INVALID_REQUEST);
  CHECK_CODE(postgen_generate(generator, kRequest, NULL, &error), POSTGEN_INVALID_REQUEST);
  CHECK_CODE(postgen_start(generator, kRequest, 0, NULL, &error), POSTGEN_INVALID_REQUEST);
  CHECK_CODE(postgen_metrics(generator, NULL, &error), POSTGEN_INVALID_REQUEST);
  CHECK(postgen_generator_next_events(generator, -1, NULL, 5) == 0);
  postgen_event event;
  CHECK(postgen_generator_next_events(generator, -1, &event, 0) == 0);
  postgen_error_destroy(&error);
  postgen_generator_destroy(&generator);
}

static void TestErrorSlot(void) {
  postgen_generator* generator = NewGenerator(kTemplate, NULL);
  postgen_result* result = NULL;
  postgen_error* error = NULL;
  CHECK_CODE(postgen_generate(generator, Str("{\"kol_serial\": \"first\"}"), &result, &error),
             POSTGEN_INVALID_REQUEST);
  postgen_error* const first = error;
  CHECK(Contains(postgen_error_json(first), "kol_serial"));

  /* Success leaves the slot alone. */
  CHECK_CODE(postgen_generate(generator, kRequest, &result, &error), POSTGEN_OK);
  CHECK(error == first);
  CHECK_CODE(postgen_error_code(error), POSTGEN_INVALID_REQUEST);

  /* A failure replaces the error, and nothing of the old one is left. */
  CHECK_CODE(postgen_start(generator, kRequest, 64, (postgen_call*[]){NULL}, &error),
             POSTGEN_INVALID_REQUEST);
  CHECK(error != first);
  CHECK(postgen_error_json(first).ptr == NULL);
  CHECK(Contains(postgen_error_json(error), "flags"));
  CHECK(!Contains(postgen_error_json(error), "kol_serial"));

  /* So it does with what never was an error. */
  int foreign = 0;
  postgen_error* garbage = (postgen_error*)&foreign;
  CHECK_CODE(postgen_generate(NULL, kRequest, &result, &garbage), POSTGEN_INVALID_REQUEST);
  CHECK_CODE(postgen_error_code(garbage), POSTGEN_INVALID_REQUEST);
  CHECK(foreign == 0);
  postgen_error_destroy(&garbage);

  postgen_error_destroy(&error);
  postgen_result_destroy(&result);
  postgen_generator_destroy(&generator);
}

/* --- Events ------------------------------------------------------------------------------------
 */

static void TestEvents(void) {
  postgen_generator* generator = NewGenerator(kTemplate, NULL);
  postgen_call* call = NULL;
  postgen_error* error = NULL;
  CHECK_CODE(postgen_start(generator, kRequest, 4U, &call, &error), POSTGEN_INVALID_REQUEST);
  CHECK(Contains(postgen_error_json(error), "flags"));
  postgen_error_destroy(&error);

  CHECK_CODE(postgen_start(generator, kRequest, POSTGEN_START_STREAM | POSTGEN_START_RESTARTS,
                           &call, &error),
             POSTGEN_OK);
  struct pollfd readable = {postgen_generator_event_fd(generator), POLLIN, 0};
  int started = 0;
  int done = 0;
  size_t text = 0;
  bool ended = false;
  while (!ended) {
    CHECK(poll(&readable, 1, ENOUGH_MS) == 1);
    postgen_event events[4];
    const size_t count = postgen_generator_next_events(generator, ENOUGH_MS, events, 4);
    CHECK(count > 0);
    if (count == 0) break;
    for (size_t i = 0; i < count; ++i) {
      CHECK(!ended);
      CHECK(events[i].call_id == postgen_call_id(call));
      switch (events[i].type) {
        case POSTGEN_EVENT_VERSION_STARTED: ++started; break;
        case POSTGEN_EVENT_DELTA:
          CHECK(events[i].part == POSTGEN_PART_TITLE || events[i].part == POSTGEN_PART_CONTENT);
          CHECK(events[i].version_number >= 1 && events[i].version_number <= 5);
          text += events[i].text.len;
          break;
        case POSTGEN_EVENT_VERSION_DONE:
          ++done;
          CHECK(Contains(events[i].json, "\"version_done\""));
          break;
        case POSTGEN_EVENT_POST:
          ended = true;
          CHECK(Contains(events[i].json, "\"success\":true"));
          break;
        default: CHECK(!"another type of event");
      }
    }
  }
  CHECK(started == 5);
  CHECK(done == 5);
  CHECK(text > 0);
  CHECK(poll(&readable, 1, 0) == 0);
  postgen_call_destroy(&call);

  /* Without the flag the last event comes alone, also when the handle is gone by then. */
  CHECK_CODE(postgen_start(generator, kRequest, 0, &call, &error), POSTGEN_OK);
  const uint64_t id = postgen_call_id(call);
  postgen_call_destroy(&call);
  postgen_event event;
  CHECK(postgen_generator_next_events(generator, -1, &event, 1) == 1);
  CHECK(event.type == POSTGEN_EVENT_POST);
  CHECK(event.call_id == id);
  CHECK(postgen_generator_next_events(generator, 0, &event, 1) == 0);
  postgen_generator_destroy(&generator);
}

static void TestCallback(void) {
  postgen_generator* generator = NewGenerator(kTemplate, NULL);
  Counter first = {0};
  Counter second = {0};
  postgen_callback table = CallbackTable(&first);
  CHECK_CODE(postgen_set_callback(generator, &table, NULL), POSTGEN_OK);
  postgen_call* call = NULL;
  CHECK_CODE(postgen_start(generator, kRequest, 0, &call, NULL), POSTGEN_OK);
  postgen_call_destroy(&call);
  CHECK(Await(&first.events, 1));
  CHECK(atomic_load(&first.last_type) == POSTGEN_EVENT_POST);
  postgen_event event;
  CHECK(postgen_generator_next_events(generator, -1, &event, 1) == 0);

  table.user_data = &second;
  CHECK_CODE(postgen_set_callback(generator, &table, NULL), POSTGEN_OK);
  CHECK(atomic_load(&first.destroyed) == 1);
  CHECK_CODE(postgen_start(generator, kRequest, 0, &call, NULL), POSTGEN_OK);
  postgen_call_destroy(&call);
  CHECK(Await(&second.events, 1));
  CHECK(atomic_load(&first.events) == 1);

  CHECK_CODE(postgen_set_callback(generator, NULL, NULL), POSTGEN_OK);
  CHECK(atomic_load(&second.destroyed) == 1);
  CHECK_CODE(postgen_start(generator, kRequest, 0, &call, NULL), POSTGEN_OK);
  postgen_call_destroy(&call);
  CHECK(postgen_generator_next_events(generator, ENOUGH_MS, &event, 1) == 1);
  CHECK(atomic_load(&second.events) == 1);

  /* A generator that goes away hands over its last events first. */
  Counter third = {0};
  table.user_data = &third;
  CHECK_CODE(postgen_set_callback(generator, &table, NULL), POSTGEN_OK);
  for (int i = 0; i < 10; ++i) {
    CHECK_CODE(postgen_start(generator, kRequest, 0, &call, NULL), POSTGEN_OK);
    postgen_call_destroy(&call);
  }
  postgen_generator_destroy(&generator);
  CHECK(atomic_load(&third.events) == 10);
  CHECK(atomic_load(&third.destroyed) == 1);
  CHECK(atomic_load(&first.destroyed) == 1 && atomic_load(&second.destroyed) == 1);
}

static void TestRefusedCallbacks(void) {
  struct Newer {
    postgen_callback table;
    uint64_t added;
  };
  Counter counter = {0};
  postgen_generator* generator = NewGenerator(kTemplate, NULL);
  postgen_error* error = NULL;

  postgen_callback bad[4];
  for (int i = 0; i < 4; ++i) bad[i] = CallbackTable(&counter);
  bad[0].struct_size = 0;
  bad[1].struct_size = sizeof(postgen_callback) - 1;
  bad[2].reserved = 1;
  bad[3].on_event = NULL;
  for (int i = 0; i < 4; ++i) {
    CHECK_CODE(postgen_set_callback(generator, &bad[i], &error), POSTGEN_INVALID_CONFIG);
    CHECK(Contains(postgen_error_json(error), "callback"));
  }
  postgen_error_destroy(&error);

  struct Newer newer = {CallbackTable(&counter), 1};
  newer.table.struct_size = sizeof(newer);
  CHECK_CODE(postgen_set_callback(generator, &newer.table, NULL), POSTGEN_INVALID_CONFIG);
  newer.table.struct_size = UINT32_MAX;
  CHECK_CODE(postgen_set_callback(generator, &newer.table, NULL), POSTGEN_INVALID_CONFIG);
  CHECK(atomic_load(&counter.destroyed) == 0);

  newer.table.struct_size = sizeof(newer);
  newer.added = 0;
  CHECK_CODE(postgen_set_callback(generator, &newer.table, NULL), POSTGEN_OK);
  postgen_generator_destroy(&generator);
  CHECK(atomic_load(&counter.destroyed) == 1);
}

/* --- Calls from inside a callback --------------------------------------------------------------
 */

typedef struct Inside {
  postgen_generator* generator;
  atomic_int codes[3];
  atomic_int events;
  atomic_int destroyed;
  bool destroys;
} Inside;

static void CallInside(void* user_data, const postgen_event* event) {
  Inside* inside = user_data;
  (void)event;
  postgen_result* result = NULL;
  postgen_event more;
  atomic_store(&inside->codes[0], postgen_generate(inside->generator, kRequest, &result, NULL));
  atomic_store(&inside->codes[1], postgen_generator_close(inside->generator, 0, NULL));
  atomic_store(&inside->codes[2], postgen_set_callback(inside->generator, NULL, NULL));
  CHECK(postgen_generator_next_events(inside->generator, -1, &more, 1) == 0);
  if (inside->destroys) postgen_generator_destroy(&inside->generator);
  Increase(&inside->events);
}

static void DestroyInside(void* user_data) { Increase(&((Inside*)user_data)->destroyed); }

static void TestInsideCallback(void) {
  for (int destroys = 0; destroys < 2; ++destroys) {
    Inside inside = {.generator = NewGenerator(kTemplate, NULL), .destroys = destroys == 1};
    postgen_generator* generator = inside.generator;
    const postgen_callback table = {.struct_size = sizeof(postgen_callback),
                                    .user_data = &inside,
                                    .destroy = DestroyInside,
                                    .on_event = CallInside};
    CHECK_CODE(postgen_set_callback(generator, &table, NULL), POSTGEN_OK);
    postgen_call* call = NULL;
    CHECK_CODE(postgen_start(generator, kRequest, 0, &call, NULL), POSTGEN_OK);
    postgen_call_destroy(&call);
    CHECK(Await(&inside.events, 1));
    for (int i = 0; i < 3; ++i) CHECK(atomic_load(&inside.codes[i]) == POSTGEN_REENTRANT);
    if (inside.destroys) {
      CHECK(inside.generator == NULL);
      CheckDeadGenerator(generator, POSTGEN_INVALID_REQUEST);
    } else {
      postgen_generator_destroy(&generator);
    }
    CHECK(Await(&inside.destroyed, 1));
  }
}

/* --- Plugins -----------------------------------------------------------------------------------
 */

/* One plugin for everything: notes what it is asked, and answers from a thread of its own. */
typedef struct Plugin {
  Counter counter;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  postgen_reply* asked[64]; /* LLM calls that nobody has answered yet */
  int asked_count;
  bool stop;
  char last_request[65536];
  char last_row[65536];
  char cached[65536];
  size_t cached_len;
  int gets;
  int puts;
} Plugin;

static void PluginInit(Plugin* plugin) {
  memset(plugin, 0, sizeof(*plugin));
  pthread_mutex_init(&plugin->mutex, NULL);
  pthread_cond_init(&plugin->changed, NULL);
}

static void Copy(char* to, size_t size, postgen_str text) {
  const size_t len = text.len < size - 1 ? text.len : size - 1;
  memcpy(to, text.ptr, len);
  to[len] = '\0';
}

static void PluginComplete(void* user_data, postgen_str request_json, postgen_reply* reply) {
  Plugin* plugin = user_data;
  pthread_mutex_lock(&plugin->mutex);
  Copy(plugin->last_request, sizeof(plugin->last_request), request_json);
  plugin->asked[plugin->asked_count++] = reply;
  pthread_cond_broadcast(&plugin->changed);
  pthread_mutex_unlock(&plugin->mutex);
}

static void PluginGet(void* user_data, postgen_str key, postgen_reply* reply) {
  Plugin* plugin = user_data;
  CHECK(key.len == 64);
  pthread_mutex_lock(&plugin->mutex);
  ++plugin->gets;
  pthread_mutex_unlock(&plugin->mutex); /* the next function may be called by the answer */
  const postgen_str value = {plugin->cached, plugin->cached_len};
  CHECK_CODE(postgen_reply_complete(reply, value, NULL), POSTGEN_OK);
}

static void PluginPut(void* user_data, postgen_str key, postgen_str value, int64_t ttl_ms) {
  Plugin* plugin = user_data;
  CHECK(key.len == 64);
  CHECK(ttl_ms > 0);
  pthread_mutex_lock(&plugin->mutex);
  ++plugin->puts;
  memcpy(plugin->cached, value.ptr, value.len);
  plugin->cached_len = value.len;
  pthread_mutex_unlock(&plugin->mutex);
}

static void PluginStore(void* user_data, postgen_str row_json, postgen_reply* reply) {
  Plugin* plugin = user_data;
  Copy(plugin->last_row, sizeof(plugin->last_row), row_json);
  CHECK_CODE(postgen_reply_complete(reply, kEmpty, NULL), POSTGEN_OK);
}

static void PluginRefuse(void* user_data, postgen_reply* reply) {
  (void)user_data;
  CHECK_CODE(postgen_reply_fail(reply, POSTGEN_STORE, POSTGEN_STR("the disk is full"), NULL),
             POSTGEN_OK);
}

static postgen_llm_plugin LlmTable(Plugin* plugin) {
  return (postgen_llm_plugin){.struct_size = sizeof(postgen_llm_plugin),
                              .user_data = &plugin->counter,
                              .destroy = CountDestroy,
                              .name = POSTGEN_STR("own"),
                              .complete = PluginComplete};
}

static postgen_plugins PluginTables(const postgen_llm_plugin* llm,
                                    const postgen_cache_plugin* cache,
                                    const postgen_store_plugin* store) {
  return (postgen_plugins){
      .struct_size = sizeof(postgen_plugins), .llm = llm, .cache = cache, .store = store};
}

/* The next unanswered call; NULL after a long wait in vain. */
static postgen_reply* NextAsked(Plugin* plugin) {
  const struct timespec until = Enough();
  pthread_mutex_lock(&plugin->mutex);
  while (plugin->asked_count == 0 &&
         pthread_cond_timedwait(&plugin->changed, &plugin->mutex, &until) == 0) {
  }
  postgen_reply* const reply =
      plugin->asked_count > 0 ? plugin->asked[--plugin->asked_count] : NULL;
  pthread_mutex_unlock(&plugin->mutex);
  return reply;
}

static const postgen_str kOneVersion = {
    "{\"stock_code\": \"2330\", \"kol_serial\": 208, \"versions\": 1}", 56};

/* Starts a post of one version and returns the reply that its only call waits for. */
static postgen_reply* StartAndWaitForCall(postgen_generator* generator, Plugin* plugin,
                                          postgen_str request, postgen_call** call) {
  CHECK_CODE(postgen_start(generator, request, 0, call, NULL), POSTGEN_OK);
  return NextAsked(plugin);
}

static void CheckLastEvent(postgen_generator* generator, postgen_event_type type,
                           const char* says) {
  postgen_event event;
  CHECK(postgen_generator_next_events(generator, ENOUGH_MS, &event, 1) == 1);
  CHECK(event.type == type);
  CHECK(Contains(event.json, says));
  if (!Contains(event.json, says)) {
    fprintf(stderr, "%.*s does not contain %s\n", (int)event.json.len, event.json.ptr, says);
  }
}

static void TestLlmPlugin(void) {
  Plugin plugin;
  PluginInit(&plugin);
  const postgen_llm_plugin llm = LlmTable(&plugin);
  const postgen_plugins tables = PluginTables(&llm, NULL, NULL);
  postgen_generator* generator = NewGenerator(
      POSTGEN_STR("{\"llm\": {\"provider\": \"template\"}, \"cache\": {\"url\": \"none:\"}}"),
      &tables);

  static const struct {
    postgen_str answer;
    postgen_code code; /* what the plugin is told */
    postgen_event_type type;
    const char* says; /* what the post is told */
  } kAnswers[] = {
      {TEXT("{\"text\": \"\xe6\xa8\x99\xe9\xa1\x8c\xef\xbc\x9a own "
            "title\\n\xe5\x85\xa7\xe5\xae\xb9\xef\xbc\x9a own words\"}"),
       POSTGEN_OK, POSTGEN_EVENT_POST, "own words"},
      {TEXT("{\"text\": \"x\", \"usage\": {\"prompt_tokens\": 7}}"), POSTGEN_OK, POSTGEN_EVENT_POST,
       "\"prompt_tokens\":7"},
      {TEXT("{\"text\": \"cut\", \"finish_reason\": \"length\"}"), POSTGEN_OK, POSTGEN_EVENT_ERROR,
       "\"truncated\""},
      {TEXT("{\"text\": 7}"), POSTGEN_INVALID_REQUEST, POSTGEN_EVENT_ERROR, "\"protocol\""},
      {TEXT("{"), POSTGEN_INVALID_REQUEST, POSTGEN_EVENT_ERROR, "\"protocol\""},
      {{NULL, 0}, POSTGEN_INVALID_REQUEST, POSTGEN_EVENT_ERROR, "\"protocol\""},
      {{NULL, 3}, POSTGEN_INVALID_REQUEST, POSTGEN_EVENT_ERROR, "\"protocol\""},
  };
  for (size_t i = 0; i < sizeof(kAnswers) / sizeof(kAnswers[0]); ++i) {
    postgen_call* call = NULL;
    postgen_reply* reply = StartAndWaitForCall(generator, &plugin, kOneVersion, &call);
    CHECK_CODE(postgen_reply_complete(reply, kAnswers[i].answer, NULL), kAnswers[i].code);
    CheckLastEvent(generator, kAnswers[i].type, kAnswers[i].says);
    /* Ended replies are dead. */
    CHECK_CODE(postgen_reply_complete(reply, kAnswers[0].answer, NULL), POSTGEN_INVALID_REQUEST);
    CHECK_CODE(postgen_reply_fail(reply, POSTGEN_AUTH, kEmpty, NULL), POSTGEN_INVALID_REQUEST);
    postgen_call_destroy(&call);
  }
  CHECK(strstr(plugin.last_request, "\"messages\":[{\"role\":\"system\"") != NULL);

  static const struct {
    postgen_code given;
    postgen_code code;
    const char* says;
  } kFailures[] = {
      {POSTGEN_QUOTA, POSTGEN_OK, "\"error_type\":\"quota\""},
      {POSTGEN_OK, POSTGEN_INVALID_REQUEST, "\"error_type\":\"internal\""},
      {77, POSTGEN_INVALID_REQUEST, "\"error_type\":\"internal\""},
      {-1, POSTGEN_INVALID_REQUEST, "\"error_type\":\"internal\""},
  };
  for (size_t i = 0; i < sizeof(kFailures) / sizeof(kFailures[0]); ++i) {
    postgen_call* call = NULL;
    postgen_reply* reply = StartAndWaitForCall(generator, &plugin, kOneVersion, &call);
    CHECK_CODE(postgen_reply_fail(reply, kFailures[i].given, POSTGEN_STR("no more"), NULL),
               kFailures[i].code);
    CheckLastEvent(generator, POSTGEN_EVENT_ERROR, kFailures[i].says);
    postgen_call_destroy(&call);
  }

  /* Cancelling ends the reply; late and repeated cancels do nothing. */
  postgen_call* call = NULL;
  postgen_reply* reply = StartAndWaitForCall(generator, &plugin, kOneVersion, &call);
  postgen_call_cancel(call);
  postgen_call_cancel(call);
  CheckLastEvent(generator, POSTGEN_EVENT_ERROR, "\"error_type\":\"cancelled\"");
  CHECK_CODE(postgen_reply_complete(reply, kAnswers[0].answer, NULL), POSTGEN_INVALID_REQUEST);
  postgen_call_cancel(call);
  postgen_call_destroy(&call);

  /* So does the deadline. */
  reply = StartAndWaitForCall(
      generator, &plugin,
      Str("{\"stock_code\": \"2330\", \"kol_serial\": 208, \"versions\": 1, \"deadline_ms\": 100}"),
      &call);
  CheckLastEvent(generator, POSTGEN_EVENT_ERROR, "\"error_type\":\"deadline\"");
  CHECK_CODE(postgen_reply_complete(reply, kAnswers[0].answer, NULL), POSTGEN_INVALID_REQUEST);
  postgen_call_destroy(&call);

  /* So do close and, with a call open, destroy. */
  reply = StartAndWaitForCall(generator, &plugin, kOneVersion, &call);
  CHECK_CODE(postgen_generator_close(generator, 0, NULL), POSTGEN_OK);
  CHECK_CODE(postgen_generator_close(generator, -1, NULL), POSTGEN_OK);
  CheckLastEvent(generator, POSTGEN_EVENT_ERROR, "\"error_type\":\"cancelled\"");
  postgen_call_destroy(&call);
  postgen_result* result = NULL;
  CHECK_CODE(postgen_generate(generator, kOneVersion, &result, NULL), POSTGEN_CLOSED);
  CHECK(atomic_load(&plugin.counter.destroyed) == 0);
  postgen_generator_destroy(&generator);
  CHECK(atomic_load(&plugin.counter.destroyed) == 1);

  generator = NewGenerator(kTemplate, &tables);
  reply = StartAndWaitForCall(generator, &plugin, kOneVersion, &call);
  postgen_generator_destroy(&generator);
  CHECK(atomic_load(&plugin.counter.destroyed) == 2);
  CHECK_CODE(postgen_reply_complete(reply, kAnswers[0].answer, NULL), POSTGEN_INVALID_REQUEST);
  postgen_call_destroy(&call);
}

static void TestBusy(void) {
  Plugin plugin;
  PluginInit(&plugin);
  const postgen_llm_plugin llm = LlmTable(&plugin);
  const postgen_plugins tables = PluginTables(&llm, NULL, NULL);
  postgen_generator* generator = NewGenerator(
      POSTGEN_STR("{\"llm\": {\"provider\": \"template\"}, \"max_pending_posts\": 1}"), &tables);
  postgen_call* call = NULL;
  CHECK(StartAndWaitForCall(generator, &plugin, kOneVersion, &call) != NULL);
  postgen_result* result = NULL;
  CHECK_CODE(postgen_generate(generator, kOneVersion, &result, NULL), POSTGEN_BUSY);
  postgen_call_destroy(&call);
  postgen_generator_destroy(&generator);
}

static void TestCacheAndStorePlugins(void) {
  Plugin plugin;
  PluginInit(&plugin);
  const postgen_llm_plugin llm = LlmTable(&plugin);
  const postgen_cache_plugin cache = {
      .struct_size = sizeof(cache), .user_data = &plugin, .get = PluginGet, .put = PluginPut};
  postgen_store_plugin store = {
      .struct_size = sizeof(store), .user_data = &plugin, .put = PluginStore};
  postgen_plugins tables = PluginTables(&llm, &cache, &store);
  postgen_generator* generator = NewGenerator(kTemplate, &tables);

  postgen_call* call = NULL;
  postgen_reply* reply = StartAndWaitForCall(generator, &plugin, kOneVersion, &call);
  CHECK_CODE(postgen_reply_complete(reply, POSTGEN_STR("{\"text\": \"cache me\"}"), NULL),
             POSTGEN_OK);
  CheckLastEvent(generator, POSTGEN_EVENT_POST, "\"stored\":\"stored\"");
  CHECK(strstr(plugin.last_row, "cache me") != NULL);
  CHECK(strstr(plugin.last_row, "\"post_id\"") != NULL);
  CHECK(plugin.gets == 1 && plugin.puts == 1);
  postgen_call_destroy(&call);

  /* The second time the cache answers. */
  postgen_result* result = NULL;
  CHECK_CODE(postgen_generate(generator, kOneVersion, &result, NULL), POSTGEN_OK);
  CHECK(Contains(postgen_result_json(result), "\"source\":\"cache\""));
  CHECK(plugin.gets == 2);
  postgen_result_destroy(&result);
  postgen_generator_destroy(&generator);

  /* A store that is away is told before anything is paid. */
  store.check = PluginRefuse;
  generator = NewGenerator(kTemplate, &tables);
  postgen_error* error = NULL;
  CHECK_CODE(postgen_generate(generator, kOneVersion, &result, &error), POSTGEN_STORE);
  CHECK(Contains(postgen_error_json(error), "the disk is full"));
  CHECK(plugin.asked_count == 0);
  postgen_error_destroy(&error);
  postgen_generator_destroy(&generator);
}

static void TestRefusedPlugins(void) {
  Plugin plugin;
  PluginInit(&plugin);
  Counter* const counter = &plugin.counter;
  const postgen_llm_plugin good = LlmTable(&plugin);
  const postgen_cache_plugin good_cache = {.struct_size = sizeof(good_cache),
                                           .user_data = counter,
                                           .destroy = CountDestroy,
                                           .get = PluginGet,
                                           .put = PluginPut};
  postgen_llm_plugin llm[4];
  for (int i = 0; i < 4; ++i) llm[i] = good;
  llm[0].struct_size = 0;
  llm[1].complete = NULL;
  llm[2].reserved = 9;
  llm[3].name = (postgen_str){NULL, 3};
  postgen_cache_plugin cache[2] = {good_cache, good_cache};
  cache[0].get = NULL;
  cache[1].put = NULL;
  const postgen_store_plugin store = {
      .struct_size = sizeof(store), .user_data = counter, .destroy = CountDestroy};

  postgen_plugins tables[9];
  for (int i = 0; i < 4; ++i) tables[i] = PluginTables(&llm[i], &good_cache, NULL);
  for (int i = 0; i < 2; ++i) tables[4 + i] = PluginTables(&good, &cache[i], NULL);
  tables[6] = PluginTables(&good, &good_cache, &store);
  tables[7] = PluginTables(&good, &good_cache, NULL);
  tables[7].struct_size = 4;
  tables[8] = PluginTables(&good, &good_cache, NULL);
  tables[8].reserved = 1;
  for (int i = 0; i < 9; ++i) {
    postgen_generator* generator = NULL;
    postgen_error* error = NULL;
    CHECK_CODE(postgen_generator_create(kTemplate, &tables[i], &generator, &error),
               POSTGEN_INVALID_CONFIG);
    CHECK(Contains(postgen_error_json(error), "plugins"));
    CHECK(generator == NULL);
    postgen_error_destroy(&error);
  }
  /* Good tables with options that are refused. */
  const postgen_plugins both = PluginTables(&good, &good_cache, NULL);
  postgen_generator* generator = NULL;
  CHECK_CODE(postgen_generator_create(Str("{\"max_pending_posts\": 0}"), &both, &generator, NULL),
             POSTGEN_INVALID_CONFIG);
  CHECK(atomic_load(&counter->destroyed) == 0);

  /* What was refused is still usable, and destroyed once it was taken. */
  generator = NewGenerator(kTemplate, &both);
  postgen_generator_destroy(&generator);
  CHECK(atomic_load(&counter->destroyed) == 2);
}

/* --- Threads and processes ---------------------------------------------------------------------
 */

static void* GenerateForever(void* generator) {
  postgen_result* result = NULL;
  const postgen_code code = postgen_generate(generator, kOneVersion, &result, NULL);
  return (void*)(intptr_t)code;
}

static void* PullForever(void* generator) {
  postgen_event event;
  return (void*)(intptr_t)postgen_generator_next_events(generator, -1, &event, 1);
}

static void TestDestroyWhileOthersWait(void) {
  Plugin plugin;
  PluginInit(&plugin);
  const postgen_llm_plugin llm = LlmTable(&plugin);
  const postgen_plugins tables = PluginTables(&llm, NULL, NULL);
  postgen_generator* generator = NewGenerator(kTemplate, &tables);
  pthread_t generating;
  pthread_t pulling[2];
  pthread_create(&generating, NULL, GenerateForever, generator);
  for (int i = 0; i < 2; ++i) pthread_create(&pulling[i], NULL, PullForever, generator);
  CHECK(NextAsked(&plugin) != NULL); /* so that it is certain to wait */
  postgen_generator_destroy(&generator);
  void* code = NULL;
  pthread_join(generating, &code);
  CHECK((intptr_t)code == POSTGEN_CANCELLED);
  for (int i = 0; i < 2; ++i) {
    void* count = NULL;
    pthread_join(pulling[i], &count);
    CHECK(count == NULL);
  }
}

static void TestThreadCancellation(void) {
  postgen_generator* generator = NewGenerator(kTemplate, NULL);
  pthread_t pulling;
  pthread_create(&pulling, NULL, PullForever, generator);
  pthread_cancel(pulling);
  void* end = NULL;
  pthread_join(pulling, &end);
  CHECK(end == PTHREAD_CANCELED);

  postgen_call* call = NULL;
  CHECK_CODE(postgen_start(generator, kRequest, 0, &call, NULL), POSTGEN_OK);
  postgen_event event;
  CHECK(postgen_generator_next_events(generator, ENOUGH_MS, &event, 1) == 1);
  postgen_call_destroy(&call);
  postgen_generator_destroy(&generator);
}

static void TestFork(void) {
  postgen_generator* generator = NewGenerator(kTemplate, NULL);
  postgen_call* call = NULL;
  postgen_result* result = NULL;
  CHECK_CODE(postgen_generate(generator, kRequest, &result, NULL), POSTGEN_OK);
  CHECK_CODE(postgen_start(generator, kRequest, 0, &call, NULL), POSTGEN_OK);
  fflush(stderr);
  const pid_t child = fork();
  if (child == 0) {
    alarm(ENOUGH_MS / 1000);
    check_failures = 0;
    postgen_generator* inherited = generator;
    CheckDeadGenerator(inherited, POSTGEN_FORKED);
    postgen_call_cancel(call);
    CHECK(postgen_result_json(result).ptr == NULL);
#ifndef __SANITIZE_THREAD__ /* which forbids threads in a child of threads */
    postgen_generator* own = NewGenerator(kTemplate, NULL);
    CHECK(own != generator);
    postgen_result* own_result = NULL;
    CHECK_CODE(postgen_generate(own, kRequest, &own_result, NULL), POSTGEN_OK);
    CheckDeadGenerator(generator, POSTGEN_FORKED);
    postgen_result_destroy(&own_result);
    postgen_generator_destroy(&own);
#endif
    _exit(check_failures != 0);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  postgen_event event;
  CHECK(postgen_generator_next_events(generator, ENOUGH_MS, &event, 1) == 1);
  CHECK(Contains(postgen_result_json(result), "\"success\":true"));
  postgen_result_destroy(&result);
  postgen_call_destroy(&call);
  postgen_generator_destroy(&generator);
}

int main(int argc, char** argv) {
  char folder[] = "/tmp/postgen_abi_XXXXXX";
  if (argc > 1 || mkdtemp(folder) == NULL) {
    fprintf(stderr, "usage: %s\n", argv[0]);
    return 2;
  }
  TestVersions();
  TestGenerateAndStore(folder);
  TestIdempotencyKey(folder);
  TestBadDocuments();
  TestDeadHandles();
  TestNullOut();
  TestErrorSlot();
  TestEvents();
  TestCallback();
  TestRefusedCallbacks();
  TestInsideCallback();
  TestLlmPlugin();
  TestBusy();
  TestCacheAndStorePlugins();
  TestRefusedPlugins();
  TestDestroyWhileOthersWait();
  TestThreadCancellation();
  TestFork();
  printf("%d checks, %d failed\n", check_count, check_failures);
  char database[64];
  snprintf(database, sizeof(database), "%s/posts.db", folder);
  return remove(database) != 0 || rmdir(folder) != 0 || check_failures != 0;
}
