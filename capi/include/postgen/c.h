/*
 * postgen in C: forum posts written by an LLM, several versions at once.
 *
 *   postgen_generator* generator = NULL;
 *   postgen_result* result = NULL;
 *   postgen_error* error = NULL;
 *   if (postgen_generator_create(POSTGEN_STR("{\"llm\": {\"provider\": \"template\"}}"), NULL,
 *                                &generator, &error) == POSTGEN_OK &&
 *       postgen_generate(generator, POSTGEN_STR("{\"stock_code\": \"2330\", \"kol_serial\": 208}"),
 *                        &result, &error) == POSTGEN_OK) {
 *     postgen_str reply = postgen_result_json(result);
 *     printf("%.*s\n", (int)reply.len, reply.ptr);
 *   } else {
 *     postgen_str reply = postgen_error_json(error);
 *     fprintf(stderr, "%.*s\n", (int)reply.len, reply.ptr);
 *   }
 *   postgen_error_destroy(&error);
 *   postgen_result_destroy(&result);
 *   postgen_generator_destroy(&generator);
 *
 * Rules that hold for every function
 *
 * Documents.  Options, requests and results are JSON documents, the same ones as in every other
 *   language. UTF-8; any bytes at all are safe to pass and give an error at worst.
 * Errors.  The returned code is the truth. `err` may be NULL. Where it is not, *err is written on
 *   failure only: it must be NULL or hold an error, which is then replaced. Out-parameters are
 *   written on success only. If memory is too short to describe a failure, *err becomes NULL.
 * Ownership.  What comes out of an out-parameter is *owned*: destroy it with the function of its
 *   type. A postgen_str that is returned is *borrowed*, from the handle it was asked of and until
 *   that is destroyed, and is not terminated by a NUL. Strings passed in are read before the
 *   function returns and never kept. Destroy functions take a pointer to the handle, accept NULL
 *   and handles that are NULL, set the handle to NULL and cannot fail.
 * Handles.  A handle is a name, not an address. One that is NULL, destroyed or never came from
 *   postgen is told from a live one: functions with a code return POSTGEN_INVALID_REQUEST, others
 *   do nothing and return an empty value.
 * Threads.  Every function may be called from any thread, also on the same handle at the same time.
 * Callbacks.  Functions of yours run on threads of postgen. They must return quickly, and may call
 *   anything except what waits: postgen_generate, postgen_generator_close and postgen_set_callback
 *   are POSTGEN_REENTRANT there, postgen_generator_next_events does not wait, and
 *   postgen_generator_destroy takes effect at once but finishes in the background.
 * fork().  A handle belongs to the process that made it: in a child it is POSTGEN_FORKED. The child
 *   may make generators of its own.
 * Compatibility.  Within a major version nothing here is removed or changes its meaning. Codes and
 *   event types may be added: treat unknown ones as POSTGEN_INTERNAL, or skip them.
 */
#ifndef POSTGEN_C_H_
#define POSTGEN_C_H_

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define POSTGEN_C_API __attribute__((visibility("default")))
#else
#define POSTGEN_C_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Raised when something is added. Compare with postgen_abi_version() to know that the library is
 * at least as new as this header. */
#define POSTGEN_ABI_VERSION 1

/* --- Values ------------------------------------------------------------------------------ */

/* UTF-8 text or bytes. {NULL, 0} is empty; NULL with a length is refused. Frozen. */
typedef struct postgen_str {
  const char* ptr;
  size_t len;
} postgen_str;

/* A string literal as a postgen_str. */
#ifdef __cplusplus
#define POSTGEN_STR(literal) (postgen_str{"" literal, sizeof(literal) - 1})
#else
#define POSTGEN_STR(literal) ((postgen_str){"" literal, sizeof(literal) - 1})
#endif

typedef int32_t postgen_code;
enum {
  POSTGEN_OK = 0,
  POSTGEN_INVALID_REQUEST = 1,      /* the request, an argument or a handle was refused */
  POSTGEN_INVALID_CONFIG = 2,       /* the options or a table of callbacks were refused */
  POSTGEN_UNKNOWN_KOL = 3,          /* `require_kol` is set and no such KOL exists */
  POSTGEN_CONFLICT = 4,             /* idempotency key or post id with other content */
  POSTGEN_BUDGET = 5,               /* the spending budget would be exceeded */
  POSTGEN_BUSY = 6,                 /* too many posts pending; nothing was paid */
  POSTGEN_STORE = 7,                /* store or schema unusable before anything was paid */
  POSTGEN_AUTH = 8,                 /* the provider refused the key */
  POSTGEN_QUOTA = 9,                /* the provider's money or quota is used up */
  POSTGEN_RATE_LIMITED = 10,        /* still rate limited after the last attempt */
  POSTGEN_REFUSED = 11,             /* other 4xx of the provider, content filter, refusal */
  POSTGEN_UPSTREAM = 12,            /* 5xx of the provider */
  POSTGEN_CONNECT = 13,             /* no connection, or it broke before a reply */
  POSTGEN_DNS = 14,                 /* the host name did not resolve */
  POSTGEN_TLS = 15,                 /* certificate or handshake refused */
  POSTGEN_TIMEOUT_CONNECT = 16,     /* llm.connect_timeout_ms passed */
  POSTGEN_TIMEOUT_FIRST_TOKEN = 17, /* llm.first_token_timeout_ms passed */
  POSTGEN_TIMEOUT_IDLE = 18,        /* llm.idle_timeout_ms passed between two payload events */
  POSTGEN_TIMEOUT_ATTEMPT = 19,     /* llm.attempt_timeout_ms passed */
  POSTGEN_TRUNCATED = 20,           /* the reply was cut */
  POSTGEN_PROTOCOL = 21,            /* the reply does not follow the protocol */
  POSTGEN_ENCODING = 22,            /* the reply is not valid UTF-8 */
  POSTGEN_TOO_LARGE = 23,           /* the reply exceeds a bound */
  POSTGEN_REJECTED = 24,            /* a version failed its checks */
  POSTGEN_DEADLINE = 25,            /* nothing was ready when the post was due */
  POSTGEN_CANCELLED = 26,           /* the caller cancelled */
  POSTGEN_CLOSED = 27,              /* the generator is closed */
  POSTGEN_FORKED = 28,              /* the handle was made in another process */
  POSTGEN_REENTRANT = 29,           /* called from inside a callback where that is forbidden */
  POSTGEN_NOMEM = 30,               /* out of memory, threads or descriptors */
  POSTGEN_INTERNAL = 31             /* a defect in postgen; please report it */
};

/* --- Handles ----------------------------------------------------------------------------- */

typedef struct postgen_generator postgen_generator; /* an engine with its threads */
typedef struct postgen_call postgen_call;           /* a post that was started */
typedef struct postgen_result postgen_result;       /* a finished post */
typedef struct postgen_error postgen_error;         /* why something failed */
typedef struct postgen_string postgen_string;       /* a text */
typedef struct postgen_reply postgen_reply;         /* an answer that a plugin owes */

/* --- Events ------------------------------------------------------------------------------ */

typedef int32_t postgen_event_type;
enum {
  POSTGEN_EVENT_VERSION_STARTED = 1, /* a version's call was sent */
  POSTGEN_EVENT_DELTA = 2,           /* `text` of a version arrived, without labels and fences */
  POSTGEN_EVENT_VERSION_DONE = 3,    /* a version ended; the text in `json` wins over the deltas */
  POSTGEN_EVENT_VERSION_RESET = 4,   /* with POSTGEN_START_RESTARTS: discard its deltas */
  POSTGEN_EVENT_POST = 5,            /* the post ended well; the last event of its call */
  POSTGEN_EVENT_ERROR = 6            /* the post failed; the last event of its call */
};

enum { POSTGEN_PART_NONE = 0, POSTGEN_PART_TITLE = 1, POSTGEN_PART_CONTENT = 2 };

/* One event of one call. Frozen: it is the element of an array. */
typedef struct postgen_event {
  postgen_event_type type;
  int32_t part;           /* of a delta: POSTGEN_PART_TITLE or _CONTENT; else _NONE */
  int32_t version_number; /* from 1; 0 for POST and ERROR */
  int32_t reserved;       /* 0 */
  uint64_t call_id;       /* see postgen_call_id */
  postgen_str text;       /* of a delta; else empty. Borrowed, see where events come from */
  postgen_str json;       /* of VERSION_DONE, POST and ERROR: the event as a document; else empty */
} postgen_event;

/* --- Generators -------------------------------------------------------------------------- */

/* Own implementations in place of those that the options name: see "Plugins" below. */
typedef struct postgen_plugins postgen_plugins;

/* Makes a generator from options (empty: all defaults) and, unless NULL, plugins. Starts its
 * threads and opens no connection. Failures: INVALID_CONFIG, naming the option or the table; NOMEM.
 * After a failure the user data of all plugins is still the caller's: no `destroy` has run or will
 * run. *out is owned. */
POSTGEN_C_API postgen_code postgen_generator_create(postgen_str options_json,
                                                    const postgen_plugins* plugins,
                                                    postgen_generator** out, postgen_error** err);

/* Takes no new posts (they end as CLOSED), lets running ones finish for drain_ms (negative: as long
 * as it takes), then cancels the rest; returns when all have ended. Their events can still be
 * pulled. May be repeated. Failures: REENTRANT in a callback. */
POSTGEN_C_API postgen_code postgen_generator_close(postgen_generator* generator, int64_t drain_ms,
                                                   postgen_error** err);

/* Cancels what is running and waits for its end, hands the last events to the callback if there is
 * one, stops the threads and gives all user data to its `destroy`. When it returns, no callback
 * runs or will run. Waiting functions on other threads return; what was pulled is no longer
 * borrowed. Inside a callback the handle is dead at once and the rest is done in the background. */
POSTGEN_C_API void postgen_generator_destroy(postgen_generator** generator);

/* --- Posts ------------------------------------------------------------------------------- */

/* Makes one post and waits for it. *out is owned. Failures: any code; *err then holds the reply
 * with everything that is known of the failed post, its versions included. */
POSTGEN_C_API postgen_code postgen_generate(postgen_generator* generator, postgen_str request_json,
                                            postgen_result** out, postgen_error** err);

#define POSTGEN_START_STREAM 1U   /* all events, deltas too; without it, the last one alone */
#define POSTGEN_START_RESTARTS 2U /* with STREAM: text that broke off may be taken back (RESET) */

/* Starts one post and returns at once; the rest comes as events. A document that cannot be read is
 * INVALID_REQUEST here; what is found later (BUSY, CLOSED, ...) comes as the call's ERROR event. An
 * event may be seen on another thread before this returns. *out is owned; see postgen_call_destroy.
 */
POSTGEN_C_API postgen_code postgen_start(postgen_generator* generator, postgen_str request_json,
                                         uint32_t flags, postgen_call** out, postgen_error** err);

/* The number that the call's events carry: unique in the process, never 0. 0: no such call. */
POSTGEN_C_API uint64_t postgen_call_id(const postgen_call* call);

/* Asks the post to end, which it does as CANCELLED unless it had ended already. Returns at once;
 * may be repeated, also after the generator is gone. */
POSTGEN_C_API void postgen_call_cancel(postgen_call* call);

/* Lets go of the handle. The post goes on, and its events still come. */
POSTGEN_C_API void postgen_call_destroy(postgen_call** call);

/* --- Taking events ----------------------------------------------------------------------- */

/* A descriptor that is readable (poll, epoll, select) while events wait. Borrowed: do not read from
 * it or close it. -1: no such generator, or the process had no descriptor left when it was made. */
POSTGEN_C_API int postgen_generator_event_fd(const postgen_generator* generator);

/* Moves up to `capacity` waiting events to `events` and returns how many. With none waiting, waits
 * until one comes or timeout_ms has passed (0: not at all; negative: without limit); it may also
 * return 0 early when the generator is destroyed or gets a callback. `text` and `json` are borrowed
 * until the next pull from this generator on any thread, or until the generator is destroyed; so
 * pull on one thread at a time. Returns 0 at once for a dead handle, a NULL array and while a
 * callback is set. Events are kept until they are pulled: pull regularly. */
POSTGEN_C_API size_t postgen_generator_next_events(postgen_generator* generator, int64_t timeout_ms,
                                                   postgen_event* events, size_t capacity);

/* Gets events pushed instead. */
typedef struct postgen_callback {
  uint32_t struct_size;             /* sizeof(postgen_callback) */
  uint32_t reserved;                /* 0 */
  void* user_data;                  /* handed to both functions */
  void (*destroy)(void* user_data); /* may be NULL. Runs once, after the last on_event */
  void (*on_event)(void* user_data, const postgen_event* event); /* required. One event at a time,
                      on a thread of its own; the event and its strings are borrowed for the call */
} postgen_callback;

/* Sets the callback, replacing an earlier one; waiting events are given to it first. NULL goes back
 * to pulling. When it returns, the earlier callback runs no more and its user data is destroyed.
 * Failures: INVALID_CONFIG for a table that is not as described, REENTRANT in a callback, NOMEM;
 * then nothing has changed and the user data is still the caller's. */
POSTGEN_C_API postgen_code postgen_set_callback(postgen_generator* generator,
                                                const postgen_callback* callback,
                                                postgen_error** err);

/* --- Results, errors, texts -------------------------------------------------------------- */

/* The reply: the app's keys and one more, `postgen`. Borrowed from the result. */
POSTGEN_C_API postgen_str postgen_result_json(const postgen_result* result);
POSTGEN_C_API void postgen_result_destroy(postgen_result** result);

/* POSTGEN_OK for NULL; POSTGEN_INVALID_REQUEST for a handle that is no live error. */
POSTGEN_C_API postgen_code postgen_error_code(const postgen_error* error);
/* The failure reply: message, detail, error_type and, under `postgen`, what is known. Never holds a
 * key, a password or a prompt. Borrowed from the error. */
POSTGEN_C_API postgen_str postgen_error_json(const postgen_error* error);
POSTGEN_C_API void postgen_error_destroy(postgen_error** error);

/* The text. Borrowed from the string. */
POSTGEN_C_API postgen_str postgen_string_get(const postgen_string* string);
POSTGEN_C_API void postgen_string_destroy(postgen_string** string);

/* Counters since the generator was made, as one JSON object. *out is owned. */
POSTGEN_C_API postgen_code postgen_metrics(postgen_generator* generator, postgen_string** out,
                                           postgen_error** err);

/* POSTGEN_ABI_VERSION of the library that is loaded. */
POSTGEN_C_API uint32_t postgen_abi_version(void);
/* "1.2.3". Static, terminated by a NUL. */
POSTGEN_C_API const char* postgen_version(void);

/* --- Plugins ----------------------------------------------------------------------------- */

/* A table of functions for each part of yours. The functions are called on the generator's
 * reactor thread, so they must only take note and return; the answer is given later, on any thread,
 * by completing or failing the postgen_reply that came along. Where the answer is there already, it
 * may be given within the function; other functions of yours may then be called before it returns,
 * so hold no lock. Strings are borrowed for the call.
 *
 * Every reply ends exactly once. One that the generator no longer waits for (the post was cancelled
 * or is overdue, the generator is being destroyed) is ended by postgen: its handle is then dead,
 * and answering it is a harmless POSTGEN_INVALID_REQUEST.
 *
 * A table is copied. Its struct_size must be that of this header or of a newer one whose additional
 * bytes are zero; reserved members must be 0. `destroy` may be NULL; it is called once, when the
 * generator is destroyed, and never for a refused table.
 */

/* Own LLM client. */
typedef struct postgen_llm_plugin {
  uint32_t struct_size; /* sizeof(postgen_llm_plugin) */
  uint32_t reserved;    /* 0 */
  void* user_data;
  void (*destroy)(void* user_data); /* may be NULL */
  postgen_str name;                 /* `provider` in results; empty: "custom" */
  /* Required. The request is {"model", "messages": [{"role", "content"}, ...], "max_tokens",
   * "temperature", "timeout_ms", "posting_type", "angle", "version_number", "stock_code",
   * "stock_name", "max_words"}. Complete the reply with {"text"} and, where known,
   * "finish_reason" ("stop" unless given; "length" marks a text that was cut), "model",
   * "request_id" and "usage": {"prompt_tokens", "completion_tokens", "cached_tokens"}. */
  void (*complete)(void* user_data, postgen_str request_json, postgen_reply* reply);
} postgen_llm_plugin;

/* Own cache of replies. Keys are 64 hexadecimal digits, values are bytes. Trouble is a miss. */
typedef struct postgen_cache_plugin {
  uint32_t struct_size; /* sizeof(postgen_cache_plugin) */
  uint32_t reserved;    /* 0 */
  void* user_data;
  void (*destroy)(void* user_data); /* may be NULL */
  /* Required. Complete the reply with the value, or with nothing or a failure for a miss. An answer
   * that takes longer than 20 ms is too late. */
  void (*get)(void* user_data, postgen_str key, postgen_reply* reply);
  /* Required. Keeps the value in place of an earlier one for ttl_ms; 0: forgets the key. */
  void (*put)(void* user_data, postgen_str key, postgen_str value, int64_t ttl_ms);
} postgen_cache_plugin;

/* Own store of finished posts. */
typedef struct postgen_store_plugin {
  uint32_t struct_size; /* sizeof(postgen_store_plugin) */
  uint32_t reserved;    /* 0 */
  void* user_data;
  void (*destroy)(void* user_data); /* may be NULL */
  /* May be NULL: always usable. Asked before anything is paid: complete the reply with nothing if a
   * row could be written now, else fail it. */
  void (*check)(void* user_data, postgen_reply* reply);
  /* Required. Complete the reply with nothing when the row is durable. The same row again changes
   * nothing and is a success; other content under the same post_id is POSTGEN_CONFLICT. The row is
   * an object with the columns of post_records; created_at is ISO 8601, JSON columns are texts. */
  void (*put)(void* user_data, postgen_str row_json, postgen_reply* reply);
} postgen_store_plugin;

struct postgen_plugins {
  uint32_t struct_size;              /* sizeof(postgen_plugins) */
  uint32_t reserved;                 /* 0 */
  const postgen_llm_plugin* llm;     /* NULL: as the options say */
  const postgen_cache_plugin* cache; /* NULL: as the options say */
  const postgen_store_plugin* store; /* NULL: as the options say */
};

/* Ends a reply with an answer (what it holds depends on the function that it came with). The handle
 * is dead afterwards, whatever is returned. Failures: INVALID_REQUEST, if the reply has ended
 * already, or if the document cannot be read; the post is then told PROTOCOL. */
POSTGEN_C_API postgen_code postgen_reply_complete(postgen_reply* reply, postgen_str answer,
                                                  postgen_error** err);

/* Ends a reply with a failure. `message`: one line for the caller of the post, without secrets. The
 * handle is dead afterwards, whatever is returned. Failures: INVALID_REQUEST, if the reply has
 * ended already, or if `code` is POSTGEN_OK or unknown; the post is then told INTERNAL. */
POSTGEN_C_API postgen_code postgen_reply_fail(postgen_reply* reply, postgen_code code,
                                              postgen_str message, postgen_error** err);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* POSTGEN_C_H_ */
