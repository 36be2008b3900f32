// libcurl makes a pair of sockets for each multi handle, to wake curl_multi_poll, without
// close-on-exec (curl issue 13618) and without a way to ask for them: a program that the host
// starts would inherit them.
#ifndef POSTGEN_SRC_LLM_TRANSPORT_WAKEUP_PAIR_H_
#define POSTGEN_SRC_LLM_TRANSPORT_WAKEUP_PAIR_H_

#include <curl/curl.h>

namespace postgen {

// Sets close-on-exec on the pair of a new `multi`. They are known by what they do: a wake-up is a
// byte in the one end, sent by the other. Does nothing where libcurl keeps no such pair.
void CloseWakeupPairOnExec(CURLM* multi);

}  // namespace postgen

#endif  // POSTGEN_SRC_LLM_TRANSPORT_WAKEUP_PAIR_H_
