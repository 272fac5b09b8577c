# A build without ccache (CI, a bare machine) reads the large headers once instead of in every file. With ccache they stay
# out: it shares compiled files between work trees, and that build also shows a missing #include.
if(ccache)
  set(pch_usual OFF)
else()
  set(pch_usual ON)
endif()
option(QW_PCH "precompile the headers that most files read" ${pch_usual})

set(qw_room_headers <algorithm> <array> <filesystem> <functional> <map> <memory> <optional> <string> <unordered_map> <vector>
  <fmt/format.h> <nlohmann/json.hpp> <tl/expected.hpp>)
set(qw_test_headers <algorithm> <filesystem> <fstream> <map> <memory> <optional> <random> <string> <vector> <fmt/format.h>
  <gtest/gtest.h> <nlohmann/json.hpp> <tl/expected.hpp>)

# qw_precompile(target owner headers…): `owner` makes the precompiled header, targets of equal compile options use it.
function(qw_precompile target owner)
  if(NOT QW_PCH)
    return()
  elseif(target STREQUAL owner)
    target_precompile_headers(${target} PRIVATE ${ARGN})
  else()
    target_precompile_headers(${target} REUSE_FROM ${owner})
  endif()
endfunction()

# One target a room. qw_room(NAME room USES rooms… LINKS libraries…) makes the static library qw_<room> of every .cc under
# src/<room>; "USES" are the arrows of docs/design.md (the ctest `layers` holds the includes against them).
function(qw_room)
  cmake_parse_arguments(ROOM "" "NAME" "USES;LINKS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${ROOM_NAME}/*.cc)
  string(REPLACE "/" "_" target qw_${ROOM_NAME})
  add_library(${target} STATIC ${sources})
  target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  list(TRANSFORM ROOM_USES PREPEND qw_)
  target_link_libraries(${target} PUBLIC ${ROOM_USES} ${ROOM_LINKS})
  if(NOT ROOM_NAME MATCHES "^backend/")  # its files have instruction sets of their own
    qw_precompile(${target} qw_base ${qw_room_headers})
  endif()
endfunction()

# qw_tests(NAME dir USES rooms…) makes one GoogleTest program of every .cc under tests/<dir> and registers its cases.
function(qw_tests)
  cmake_parse_arguments(T "" "NAME" "USES;LABELS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${T_NAME}/*_test.cc)
  if(NOT sources)
    return()
  endif()
  string(REPLACE "/" "_" target test_${T_NAME})
  add_executable(${target} ${sources})
  list(TRANSFORM T_USES PREPEND qw_)
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${target} PRIVATE ${T_USES} GTest::gtest GTest::gtest_main)
  target_compile_options(${target} PRIVATE -O1)  # tests are compiled more often than they run
  target_compile_definitions(${target} PRIVATE QW_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  qw_precompile(${target} test_base ${qw_test_headers})
  gtest_discover_tests(${target} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
    PROPERTIES LABELS "${T_NAME}" TIMEOUT 600 SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]")
endfunction()
