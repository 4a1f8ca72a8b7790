# What this tree builds beside its layers: the programs, the examples and the tests. A folder's CMake file names
# sources by hand and calls one of these; where things land and how a hang ends is decided here, once.

# taut_add_program(NAME SOURCES ... [LINKS ...] [EXPORT_NAME name])
#
# A program people run, at build/PRESET/NAME, and installed. With EXPORT_NAME other projects can run it while they
# build, as taut::name (the stub generator); in this tree taut::name is an alias of it.
function(taut_add_program name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "EXPORT_NAME" "SOURCES;LINKS")
  taut_check_arguments(taut_add_program ${name})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LINKS})
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}" UNITY_BUILD ${TAUT_JOIN_SOURCES})
  if(arg_EXPORT_NAME)
    add_executable(taut::${arg_EXPORT_NAME} ALIAS ${name})
    set_target_properties(${name} PROPERTIES EXPORT_NAME ${arg_EXPORT_NAME})
    set_property(GLOBAL APPEND PROPERTY TAUT_EXPORTED_PROGRAMS ${name})
  else()
    set_property(GLOBAL APPEND PROPERTY TAUT_PROGRAMS ${name})
  endif()
endfunction()

# taut_add_example(NAME SOURCES ... [LINKS ...])
#
# An example, at build/PRESET/examples/NAME. Not installed: its source is what people take.
function(taut_add_example name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINKS")
  taut_check_arguments(taut_add_example ${name})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LINKS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/examples")
endfunction()

# taut_add_test(NAME SOURCES ... [LINKS ...] [LABELS slow] [RUN_SERIAL] [TIMEOUT seconds] [ENVIRONMENT VAR=value]
#               [LONG VAR=value])
#
# A GoogleTest program (its main comes from gmock_main), at build/PRESET/tests/NAME. Each of its tests is a test of
# ctest, called Suite.Name; one that calls GTEST_SKIP() << "reason" counts as skipped.
#   LABELS slow  left out unless ./tools/test --all asks for it
#   RUN_SERIAL   for tests that pin or spin on cores: nothing else runs beside them
#   TIMEOUT      the watchdog that ends a hang, not a speed limit: 120 s, for slow ones 900 s
#   LONG         the program once more as slow tests, long.Suite.Name, with this variable, of which it asks
#                support/amount.h how much to do; with an hour to do it
# One label and one variable at most: gtest_discover_tests() takes lists apart.
function(taut_add_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "RUN_SERIAL" "TIMEOUT;LABELS;ENVIRONMENT;LONG" "SOURCES;LINKS")
  taut_check_arguments(taut_add_test ${name})
  add_executable(${name} ${arg_SOURCES})
  target_compile_features(${name} PRIVATE cxx_std_20)
  target_link_libraries(${name} PRIVATE ${arg_LINKS} GTest::gmock GTest::gmock_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
  taut_test_properties(properties)
  # PRE_TEST: the program is asked for its tests when ctest starts, so a build runs nothing that it has built.
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 PROPERTIES ${properties})
  if(arg_LONG)
    set(arg_LABELS slow)
    set(arg_TIMEOUT 3600)
    set(arg_ENVIRONMENT "${arg_LONG}")
    taut_test_properties(properties)
    gtest_discover_tests(${name} TEST_PREFIX long. TEST_LIST ${name}_long DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
      PROPERTIES ${properties})
  endif()
endfunction()

# taut_add_script_test(NAME COMMAND ... [LABELS slow] [RUN_SERIAL] [TIMEOUT seconds] [ENVIRONMENT VAR=value])
#
# Any command as a test: exit code 0 passes; 77 skips, and its last line of output is the reason.
# $<TARGET_FILE:name> in COMMAND is the path of a program.
function(taut_add_script_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "RUN_SERIAL" "TIMEOUT;LABELS;ENVIRONMENT" "COMMAND")
  add_test(NAME ${name} COMMAND ${arg_COMMAND})
  taut_test_properties(properties)
  set_tests_properties(${name} PROPERTIES ${properties} SKIP_RETURN_CODE 77)
endfunction()

# taut_add_compile_fail_test(NAME SOURCE file.cpp EXPECT text [LINKS ...] [AS layer])
#
# The source must not compile, and the compiler must say EXPECT (plain text, part of one line, the same for g++ and
# clang). With TAUT_CORRECTED defined the same source must compile, so that it cannot fail for a reason other than the
# one it is about. It sees what LINKS bring, or with AS exactly what the sources of that layer see.
function(taut_add_compile_fail_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "RUN_SERIAL" "SOURCE;EXPECT;AS" "LINKS")
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_SOURCE OR NOT arg_EXPECT)
    message(FATAL_ERROR
      "taut_add_compile_fail_test(${name}): needs SOURCE and EXPECT, and does not know \"${arg_UNPARSED_ARGUMENTS}\"")
  endif()
  cmake_path(ABSOLUTE_PATH arg_SOURCE)
  set(seen_by "${arg_AS}")
  set(prefix "")
  if(NOT arg_AS)
    # Never built: it only collects what the linked targets bring.
    set(seen_by taut_usage_of_${name})
    add_library(${seen_by} INTERFACE)
    target_link_libraries(${seen_by} INTERFACE ${arg_LINKS})
  endif()
  get_target_property(type ${seen_by} TYPE)
  if(type STREQUAL "INTERFACE_LIBRARY")
    set(prefix INTERFACE_)
  endif()
  set(includes $<TARGET_PROPERTY:${seen_by},${prefix}INCLUDE_DIRECTORIES>)
  set(definitions $<TARGET_PROPERTY:${seen_by},${prefix}COMPILE_DEFINITIONS>)
  separate_arguments(flags NATIVE_COMMAND "${CMAKE_CXX_FLAGS}")
  add_test(NAME ${name} COMMAND
    "${CMAKE_COMMAND}" "-DEXPECT=${arg_EXPECT}" -P "${taut_cmake_dir}/TautCompileFail.cmake" --
    "${CMAKE_CXX_COMPILER}" ${CMAKE_CXX20_STANDARD_COMPILE_OPTION} ${flags} -fsyntax-only
    "$<$<BOOL:${includes}>:-I$<JOIN:${includes},;-I>>" "$<$<BOOL:${definitions}>:-D$<JOIN:${definitions},;-D>>"
    "${arg_SOURCE}" COMMAND_EXPAND_LISTS)
  taut_test_properties(properties)
  set_tests_properties(${name} PROPERTIES ${properties})
endfunction()

# The folder of this file, for functions that are called from other folders.
set(taut_cmake_dir "${CMAKE_CURRENT_LIST_DIR}")

function(taut_check_arguments function name)
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "${function}(${name}): does not know \"${arg_UNPARSED_ARGUMENTS}\"; cmake/TautTargets.cmake "
      "lists what it takes")
  endif()
  if(NOT arg_SOURCES)
    message(FATAL_ERROR "${function}(${name}): SOURCES is missing or empty")
  endif()
endfunction()

# A macro: it reads the arguments that its caller parsed.
macro(taut_test_properties result)
  set(${result} RUN_SERIAL ${arg_RUN_SERIAL})
  if(arg_TIMEOUT)
    list(APPEND ${result} TIMEOUT ${arg_TIMEOUT})
  elseif("${arg_LABELS}" STREQUAL "slow")
    list(APPEND ${result} TIMEOUT 900)
  else()
    list(APPEND ${result} TIMEOUT 120)
  endif()
  if(arg_LABELS)
    list(APPEND ${result} LABELS ${arg_LABELS})
  endif()
  if(arg_ENVIRONMENT)
    list(APPEND ${result} ENVIRONMENT ${arg_ENVIRONMENT})
  endif()
endmacro()
