/* Checks that go on after a failure. A test program returns check_failures != 0. */
#ifndef POSTGEN_TESTS_C_CHECK_H_
#define POSTGEN_TESTS_C_CHECK_H_

#include <stdatomic.h>
#include <stdio.h>

static atomic_int check_failures = 0; /* checked on threads of postgen, too */
static atomic_int check_count = 0;

#define CHECK(condition)                                                                      \
  do {                                                                                        \
    ++check_count;                                                                            \
    if (!(condition)) {                                                                       \
      ++check_failures;                                                                       \
      fprintf(stderr, "%s:%d: failed in %s: %s\n", __FILE__, __LINE__, __func__, #condition); \
    }                                                                                         \
  } while (0)

#define CHECK_CODE(call, expected)                                                             \
  do {                                                                                         \
    const postgen_code got_ = (call);                                                          \
    ++check_count;                                                                             \
    if (got_ != (expected)) {                                                                  \
      ++check_failures;                                                                        \
      fprintf(stderr, "%s:%d: failed in %s: %s is %d, not %d\n", __FILE__, __LINE__, __func__, \
              #call, (int)got_, (int)(expected));                                              \
    }                                                                                          \
  } while (0)

#endif /* POSTGEN_TESTS_C_CHECK_H_ */
