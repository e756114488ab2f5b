// What every command prints and returns: text for people, JSON for programs, one exit code per kind
// of failure.
#pragma once

#include <google/protobuf/message.h>

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "core/status.h"

namespace grpc {
class Status;
}

namespace tributary::cli {

// Stable: scripts may rely on them.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,         // anything else
  kExitUsage = 2,          // the command line or a file is wrong
  kExitNotFound = 3,       // campaign, file, ...
  kExitRefused = 4,        // identity, role or policy
  kExitUnavailable = 5,    // the server cannot be reached
  kExitConflict = 6,       // exists already, or not possible in this state
  kExitCampaignEnded = 7,  // watch: ended, but not completed
  kExitInterrupted = 130,  // demo: by Ctrl-C or SIGTERM
};
int ExitCodeOf(const Status& status);

Status FromGrpc(const grpc::Status& status);

// Members by their names in the .proto files; numbers as numbers; every field that has a value, and
// all scalars.
nlohmann::json ToJson(const google::protobuf::Message& message);

void PrintLine(const std::string& text);
void PrintJson(const nlohmann::json& value);
// The error on standard error, as text or {"error": {"code", "message"}}; returns the exit code.
int Fail(const Status& status, bool json);

// "1.2 MiB", "3.4 s", "2026-03-01 09:30:00 UTC".
std::string BytesText(std::uint64_t bytes);
std::string SecondsText(double seconds);

}  // namespace tributary::cli
