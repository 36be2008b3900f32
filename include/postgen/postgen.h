// Everything a C++ user of postgen needs. See generator.h for an example.
#ifndef POSTGEN_POSTGEN_H_
#define POSTGEN_POSTGEN_H_

#include "postgen/cancel.h"          // IWYU pragma: export
#include "postgen/error.h"           // IWYU pragma: export
#include "postgen/event_queue.h"     // IWYU pragma: export
#include "postgen/flow.h"            // IWYU pragma: export
#include "postgen/generator.h"       // IWYU pragma: export
#include "postgen/json.h"            // IWYU pragma: export
#include "postgen/llm_client.h"      // IWYU pragma: export
#include "postgen/observer.h"        // IWYU pragma: export
#include "postgen/options.h"         // IWYU pragma: export
#include "postgen/post_store.h"      // IWYU pragma: export
#include "postgen/profile_store.h"   // IWYU pragma: export
#include "postgen/response_cache.h"  // IWYU pragma: export
#include "postgen/types.h"           // IWYU pragma: export
#include "postgen/version.h"         // IWYU pragma: export

#endif  // POSTGEN_POSTGEN_H_
