# Compiler settings shared by every target, and the two helpers that declare
# one static library per engine folder and one test program per test folder.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(HAQ_CCACHE ccache)
if(HAQ_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${HAQ_CCACHE})
endif()

add_library(haq_options INTERFACE)
add_library(haq::options ALIAS haq_options)
target_include_directories(haq_options INTERFACE ${PROJECT_SOURCE_DIR})
# The numeric contract: no contraction chosen by the compiler, every fused
# multiply-add is written out; no value-changing optimisation anywhere.
target_compile_options(haq_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -ffp-contract=off)
if(HAQ_WERROR)
  target_compile_options(haq_options INTERFACE -Werror)
endif()
if(HAQ_SANITIZE STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=address,undefined)
elseif(HAQ_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -g1)
  add_link_options(-fsanitize=thread)
elseif(NOT HAQ_SANITIZE STREQUAL "")
  message(FATAL_ERROR "HAQ_SANITIZE must be address, thread or empty, not '${HAQ_SANITIZE}'")
endif()
if(HAQ_BUILD_FUZZERS)
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -g1)
  add_link_options(-fsanitize=address,undefined)
endif()

# haq_engine_library(<name> SOURCES ... [LINK ...]): static library haq::<name>
# made of one engine folder. LINK names may only be folders below it.
function(haq_engine_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  add_library(haq_${name} STATIC ${ARG_SOURCES})
  add_library(haq::${name} ALIAS haq_${name})
  target_link_libraries(haq_${name} PUBLIC haq::options ${ARG_LINK} PRIVATE ${ARG_PRIVATE_LINK})
endfunction()

# haq_test(<name> SOURCES ... LINK ... [TIMEOUT s] [THREADS]): a GoogleTest program,
# one ctest entry per program (start-up of a process per case would cost more).
# THREADS: also run under ThreadSanitizer (ctest label "threads", target haq_tsan_tests).
add_custom_target(haq_tsan_tests)
function(haq_test name)
  cmake_parse_arguments(ARG "THREADS" "TIMEOUT" "SOURCES;LINK" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 600)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} haq::test_support GTest::gmock GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT}
    ENVIRONMENT "LANG=C.UTF-8;QT_QPA_PLATFORM=offscreen")
  if(ARG_THREADS)
    set_tests_properties(${name} PROPERTIES LABELS threads)
    add_dependencies(haq_tsan_tests ${name})
  endif()
endfunction()

# haq_fuzzer(<name> SOURCES ... LINK ...): a libFuzzer program; its seed corpus is
# tests/fuzz/corpus/<name>.
function(haq_fuzzer name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINK})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
endfunction()
