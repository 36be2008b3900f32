# How postgen's targets are made: one static library a room, so that a room can only use what it names, and one
# test program a room, so that the tests of one can be built without the others.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

# A call every few milliseconds finds its code out of the caches: what it costs is how much code it touches. At -O2
# and optimised as a whole the library is less than half as large as at -O3.
if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
  include(CheckIPOSupported)
  check_ipo_supported(RESULT POSTGEN_IPO OUTPUT ignored LANGUAGES CXX)
  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION_RELEASE ${POSTGEN_IPO})
endif()

find_program(POSTGEN_CCACHE ccache)
if(PROJECT_IS_TOP_LEVEL AND POSTGEN_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${POSTGEN_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${POSTGEN_CCACHE})
endif()

# Warnings stay on our own targets and in the developer presets: consumers never see them.
add_library(postgen_warnings INTERFACE)
if(POSTGEN_DEVELOPER)
  target_compile_options(postgen_warnings INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Werror)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # GCC 12 at -O3 sees overlaps in std::string's operator+ that are not there (its bug 105651).
    target_compile_options(postgen_warnings INTERFACE -Wno-restrict)
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    target_compile_options(postgen_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wthread-safety>)
  endif()
endif()

if(POSTGEN_SANITIZE)
  add_compile_options(-fsanitize=${POSTGEN_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${POSTGEN_SANITIZE})
endif()

if(POSTGEN_BUILD_FUZZERS)
  # Coverage of our code is what guides the fuzzer.
  add_compile_options(-fsanitize=fuzzer-no-link)
  add_link_options(-fsanitize=fuzzer-no-link)
endif()

if(POSTGEN_CLANG_TIDY)
  find_program(POSTGEN_CLANG_TIDY_PROGRAM NAMES clang-tidy-14 clang-tidy REQUIRED)
endif()

function(postgen_own target)
  target_link_libraries(${target} PRIVATE postgen_warnings)
  if(POSTGEN_CLANG_TIDY)
    set_target_properties(${target} PROPERTIES CXX_CLANG_TIDY "${POSTGEN_CLANG_TIDY_PROGRAM};--quiet")
  endif()
endfunction()

# postgen_room(<name> SOURCES <file>... [DEPENDS <room>...] [LIBRARIES <target>...])
# The room `name` (src/<name>, slashes in nested rooms become underscores). DEPENDS are rooms it may include;
# LIBRARIES are outside libraries, which stay private to it.
function(postgen_room name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
  set(target postgen_${name})
  add_library(${target} STATIC ${ARG_SOURCES})
  postgen_own(${target})
  target_include_directories(${target} PUBLIC
    "${PROJECT_SOURCE_DIR}/include" "${PROJECT_BINARY_DIR}/include" "${PROJECT_SOURCE_DIR}/src")
  foreach(room IN LISTS ARG_DEPENDS)
    target_link_libraries(${target} PUBLIC postgen_${room})
  endforeach()
  target_link_libraries(${target} PRIVATE ${ARG_LIBRARIES})
  set_property(GLOBAL APPEND PROPERTY POSTGEN_ROOMS ${target})
endfunction()

# postgen_test(<name> [SERIAL] SOURCES <file>... [LIBRARIES <target>...] [LABELS <label>...])
# A doctest program; ctest lists each of its cases as <name>: <case>. SERIAL: beside no other test.
function(postgen_test name)
  cmake_parse_arguments(ARG "SERIAL" "" "SOURCES;LIBRARIES;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES} "${PROJECT_SOURCE_DIR}/tests/doctest_main.cc")
  # Not postgen_own: clang-tidy takes minutes for a file of doctest's macros and finds nothing there.
  target_link_libraries(${name} PRIVATE postgen_warnings)
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
  target_link_libraries(${name} PRIVATE ${ARG_LIBRARIES} doctest::doctest)
  # An empty list of labels would swallow the next property's name.
  set(labels)
  if(ARG_LABELS)
    set(labels LABELS "${ARG_LABELS}")
  endif()
  doctest_discover_tests(${name} TEST_PREFIX "${name}: " PROPERTIES TIMEOUT 300 RUN_SERIAL ${ARG_SERIAL} ${labels})
endfunction()
