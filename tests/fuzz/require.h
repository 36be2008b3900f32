// What a fuzz target promises; a broken promise ends the program, which is how fuzzers notice.
#ifndef POSTGEN_TESTS_FUZZ_REQUIRE_H_
#define POSTGEN_TESTS_FUZZ_REQUIRE_H_

#include <cstdio>
#include <cstdlib>

#define REQUIRE_THAT(condition)                                                    \
  do {                                                                             \
    if (!(condition)) {                                                            \
      std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                \
    }                                                                              \
  } while (false)

#endif  // POSTGEN_TESTS_FUZZ_REQUIRE_H_
