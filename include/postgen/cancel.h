// Cancellation. A CancelSource asks; a CancelToken is asked. Both are the standard library's, so
// that callers can chain their own std::stop_callback to a post.
//
//   postgen::CancelSource source;
//   client->Complete(request, source.get_token(), sink);
//   source.request_stop();   // from any thread; the sink then hears Code::kCancelled exactly once
#ifndef POSTGEN_CANCEL_H_
#define POSTGEN_CANCEL_H_

#include <stop_token>

namespace postgen {

using CancelSource = std::stop_source;
using CancelToken = std::stop_token;

template <typename F>
using CancelCallback = std::stop_callback<F>;

}  // namespace postgen

#endif  // POSTGEN_CANCEL_H_
