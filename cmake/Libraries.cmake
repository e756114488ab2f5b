# The libraries of others, under the names that our targets link: Debian's shared ones, or its archives for programs that
# need no library but themselves (TRIBUTARY_STATIC; docs/adr/0010-portable-programs.md).
include_guard()

find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Eigen3 3.3 REQUIRED NO_MODULE)
find_package(PkgConfig REQUIRED)
find_package(Protobuf REQUIRED)  # also for its compiler
find_package(gRPC CONFIG REQUIRED)

# tributary_library(<name> <target>...): lib::<name> stands for these targets.
function(tributary_library name)
  add_library(tributary_lib_${name} INTERFACE)
  add_library(lib::${name} ALIAS tributary_lib_${name})
  target_link_libraries(tributary_lib_${name} INTERFACE ${ARGN})
endfunction()

# As headers: Debian has no archive of it, and one way is enough. Only core/log.cc includes it.
find_package(spdlog REQUIRED)
tributary_library(spdlog)
target_compile_definitions(tributary_lib_spdlog INTERFACE SPDLOG_FMT_EXTERNAL FMT_HEADER_ONLY)

if(TRIBUTARY_STATIC)
  # What archives need in turn, pkg-config knows; the C library and the compiler's come by themselves.
  pkg_check_modules(ARCHIVES REQUIRED grpc++ re2 protobuf openssl libcares sqlite3 libpcre2-8 yaml-cpp)
  set(archives)
  list(REMOVE_DUPLICATES ARCHIVES_STATIC_LIBRARIES)
  foreach(name IN LISTS ARCHIVES_STATIC_LIBRARIES)
    if(name MATCHES "^(c|dl|m|pthread|rt|atomic|stdc[+][+])$")
      continue()
    endif()
    find_library(ARCHIVE_${name} NAMES lib${name}.a REQUIRED)
    list(APPEND archives ${ARCHIVE_${name}})
  endforeach()
  list(JOIN archives "," archives)
  tributary_library(archives "$<LINK_GROUP:RESCAN,${archives}>" Threads::Threads)
  target_link_options(tributary_lib_archives INTERFACE -static -Wl,--gc-sections)
  foreach(name cares crypto grpc pcre2 protobuf sqlite ssl yaml)
    tributary_library(${name} lib::archives)
  endforeach()
  target_compile_options(tributary_lib_grpc INTERFACE -pthread)  # as gRPC's own target asks for
else()
  pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET GLOBAL libpcre2-8)
  pkg_check_modules(CARES REQUIRED IMPORTED_TARGET GLOBAL libcares)
  tributary_library(cares PkgConfig::CARES)
  tributary_library(crypto OpenSSL::Crypto)
  tributary_library(grpc gRPC::grpc++)
  tributary_library(pcre2 PkgConfig::PCRE2)
  tributary_library(protobuf protobuf::libprotobuf)
  tributary_library(sqlite SQLite::SQLite3)
  tributary_library(ssl OpenSSL::SSL OpenSSL::Crypto)
  tributary_library(yaml yaml-cpp)
endif()
