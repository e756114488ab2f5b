# Settings and functions shared by every folder.
include_guard()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
# Kernels that gain from -O3 ask for it themselves; no -ffast-math, which would remove the NaN checks.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")

# The compiler cache knows sources by their place in the tree, so that one clone serves the next, and takes the
# precompiled headers as they are.
find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE_PROGRAM})
endif()

find_program(MOLD_PROGRAM mold)
if(MOLD_PROGRAM)
  add_link_options(-fuse-ld=mold)
endif()

include(Libraries)

add_library(tributary_options INTERFACE)
target_include_directories(tributary_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(tributary_options INTERFACE TRIBUTARY_VERSION="${PROJECT_VERSION}")
target_compile_options(tributary_options INTERFACE -Wall -Wextra -Wnon-virtual-dtor -Woverloaded-virtual)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12 at -O3 misreads "literal" + std::string (its bug 105651).
  target_compile_options(tributary_options INTERFACE -Wno-restrict)
elseif(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  # Later ones at -O3 misread moved strings, and the vector<bool>::reserve inside LibTorch (110498).
  target_compile_options(tributary_options INTERFACE -Wno-array-bounds -Wno-stringop-overflow)
endif()
if(TRIBUTARY_WERROR)
  target_compile_options(tributary_options INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  target_compile_options(tributary_options INTERFACE -Wthread-safety)
endif()
if(TRIBUTARY_SANITIZE)
  target_compile_options(tributary_options INTERFACE -fsanitize=${TRIBUTARY_SANITIZE} -fno-omit-frame-pointer
                         -fno-sanitize-recover=all)
  target_link_options(tributary_options INTERFACE -fsanitize=${TRIBUTARY_SANITIZE})
endif()
if(TRIBUTARY_FUZZ)
  target_compile_options(tributary_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# tributary_lone_headers(<result> HEADERS ... SOURCES ...)
# The headers that no source of the same name includes before all others: nothing else compiles them by themselves.
function(tributary_lone_headers result)
  cmake_parse_arguments(ARG "" "" "SOURCES;HEADERS" ${ARGN})
  cmake_path(RELATIVE_PATH CMAKE_CURRENT_SOURCE_DIR BASE_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE folder)
  set(lone)
  foreach(header IN LISTS ARG_HEADERS)
    string(REGEX REPLACE "[.]h$" ".cc" source ${header})
    set(first)
    if(source IN_LIST ARG_SOURCES)
      file(STRINGS ${source} first REGEX "^#include" LIMIT_COUNT 1)
    endif()
    if(NOT first STREQUAL "#include \"${folder}/${header}\"")
      list(APPEND lone ${header})
    endif()
  endforeach()
  set(${result} ${lone} PARENT_SCOPE)
endfunction()

# tributary_folder_library(<folder> SOURCES ... [HEADERS ...] [PUBLIC ...] [PRIVATE ...] [TOGETHER])
# Makes library tributary_<folder>, its alias tributary::<folder>, and a check that every header of the folder
# compiles by itself. TOGETHER: with TRIBUTARY_UNITY eight sources are one for the compiler, which parses what they include
# once; what is in unnamed namespaces needs names that differ within the folder.
function(tributary_folder_library folder)
  cmake_parse_arguments(ARG "TOGETHER" "" "SOURCES;HEADERS;PUBLIC;PRIVATE" ${ARGN})
  set(target tributary_${folder})
  add_library(${target} STATIC ${ARG_SOURCES})
  add_library(tributary::${folder} ALIAS ${target})
  target_link_libraries(${target} PUBLIC tributary_options ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
  if(ARG_TOGETHER AND TRIBUTARY_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
  endif()
  tributary_lone_headers(lone HEADERS ${ARG_HEADERS} SOURCES ${ARG_SOURCES})
  target_sources(${target}
    PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${ARG_HEADERS}
           FILE_SET lone_headers TYPE HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${lone})
  set_target_properties(${target} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ${TRIBUTARY_BUILD_TESTS}
                        INTERFACE_HEADER_SETS_TO_VERIFY lone_headers)
endfunction()

# tributary_tests(<program> SOURCES ... [LIBRARIES ...] [DEFINITIONS ...] [PROGRAMS ...]
#                 [SHARDS <n> | WHOLE | CASES] [LABELS ...] [TIMEOUT <s>] [OPTIMIZED] [NO_PRECOMPILED_HEADER]
#                 [THREAD_SANITIZER])
# One test program of sources in tests/. In ctest it is n entries that share its cases (SHARDS, 2 by default), one entry
# (WHOLE: starting it is dear, or it has a main of its own), or an entry for each case (CASES: long ones that start
# processes). What may take longest is started first. PROGRAMS are built before it runs. The default label is `unit`. Target check_tests builds those labelled `unit` or
# `contract`. With TRIBUTARY_UNITY six sources are one for the compiler: names in unnamed namespaces
# differ within a program, and what several need is in a header beside them. OPTIMIZED: it computes much itself. THREAD_SANITIZER adds the label `tsan` and makes tsan_tests build it: for what links no gRPC, whose packages
# are not instrumented.
function(tributary_tests program)
  cmake_parse_arguments(ARG "WHOLE;CASES;OPTIMIZED;NO_PRECOMPILED_HEADER;THREAD_SANITIZER" "SHARDS;TIMEOUT" "SOURCES;LIBRARIES;DEFINITIONS;PROGRAMS;LABELS" ${ARGN})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  if("unit" IN_LIST ARG_LABELS OR "contract" IN_LIST ARG_LABELS)
    add_dependencies(check_tests ${program})
  endif()
  if(ARG_THREAD_SANITIZER)
    list(APPEND ARG_LABELS tsan)
    add_dependencies(tsan_tests ${program})
  endif()
  add_executable(${program} ${ARG_SOURCES})
  set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  if(TRIBUTARY_UNITY)
    set_target_properties(${program} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 6)
  endif()
  target_compile_definitions(${program} PRIVATE ${ARG_DEFINITIONS})
  target_link_libraries(${program} PRIVATE tributary_options ${ARG_LIBRARIES} tributary_test_main)
  tributary_as_test(${program})
  if(ARG_PROGRAMS)
    add_dependencies(${program} ${ARG_PROGRAMS})
  endif()
  if(ARG_CASES)
    gtest_discover_tests(${program} TEST_PREFIX ${program}: DISCOVERY_MODE PRE_TEST
                         PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT} COST ${ARG_TIMEOUT})
    return()
  endif()
  if(ARG_WHOLE)
    set(ARG_SHARDS 1)
  elseif(NOT ARG_SHARDS)
    set(ARG_SHARDS 2)
  endif()
  math(EXPR last "${ARG_SHARDS} - 1")
  foreach(shard RANGE ${last})
    set(name ${program})
    if(ARG_SHARDS GREATER 1)
      set(name ${program}/${shard})
    endif()
    add_test(NAME ${name} COMMAND ${program})
    set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT} COST ${ARG_TIMEOUT}
                         ENVIRONMENT "GTEST_TOTAL_SHARDS=${ARG_SHARDS};GTEST_SHARD_INDEX=${shard}")
  endforeach()
endfunction()

# How test code is compiled: nobody waits for it to run, everybody for it to compile. GoogleTest's headers are parsed once.
# (The product's sources do without: GCC takes as long to load what would be worth precompiling as to parse it.)
function(tributary_as_test target)
  if(ARG_OPTIMIZED)
    # GCC 12 misreads moved strings.
    target_compile_options(${target} PRIVATE -O2 "$<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds;-Wno-stringop-overflow>")
  else()
    target_compile_options(${target} PRIVATE -O0)
  endif()
  if(TRIBUTARY_SANITIZE)  # the compilers' own words for it differ
    target_compile_definitions(${target} PRIVATE TRIBUTARY_SANITIZED)
  endif()
  target_compile_options(${target} PRIVATE -pthread)  # as gRPC asks for: one precompiled header fits all only so
  if(NOT target STREQUAL tributary_test_main AND NOT ARG_NO_PRECOMPILED_HEADER)
    target_precompile_headers(${target} REUSE_FROM tributary_test_main)
  endif()
endfunction()
