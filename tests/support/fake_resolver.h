// Names that do not resolve, or not in time. A program that is linked with this brings its own
// getaddrinfo, which takes the C library's place for every library of the process:
//
//   hangs.test     no answer, ever
//   nowhere.test   there is no such name
//   here.test      127.0.0.1
//   two.test       127.0.0.2, where nobody listens, then 127.0.0.1
//
// and everything else as it is. Thread-safe.
#ifndef POSTGEN_TESTS_SUPPORT_FAKE_RESOLVER_H_
#define POSTGEN_TESTS_SUPPORT_FAKE_RESOLVER_H_

#include <string>

namespace postgen::testing {

// How often the name has been asked for.
int TimesLookedUp(const std::string& name);

// Waits until that many look-ups of hangs.test, all in all, have begun.
void WaitUntilHanging(int times);

}  // namespace postgen::testing

#endif  // POSTGEN_TESTS_SUPPORT_FAKE_RESOLVER_H_
