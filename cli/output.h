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
  kExitTimeout = 8,        // watch --timeout: it goes on
  kExitPaused = 9,         // watch: it is paused, at --timeout or with --until-paused
  kExitInterrupted = 130,  // demo: by Ctrl-C or SIGTERM
};
int ExitCodeOf(const Status& status);

Status FromGrpc(const grpc::Status& status);

// Members by their names in the .proto files; numbers as numbers; every field that has a value, and
// all scalars.
nlohmann::json ToJson(const google::protobuf::Message& message);

// What a server says may come from anybody. A copy for people: every text in it is one printable
// line of bounded length (core/text.h).
void MakePrintable(google::protobuf::Message* message);
template <class Message>
Message Shown(Message message) {
  MakePrintable(&message);
  return message;
}

// printf into a string of any length.
[[gnu::format(printf, 1, 2)]] std::string Format(const char* format, ...);
// "0.25"; a number too large for that "1e+308".
std::string NumberText(double number, int decimals);

// The one way out for text: whatever it is made of, it cannot steer a terminal. Line breaks are
// printed: a text from a server is made one line before (Shown).
void PrintText(const std::string& text);
void PrintLine(const std::string& text);
// The one way out for JSON: ASCII alone. On one line or, with an indentation, on several.
void PrintJson(const nlohmann::json& value, int indent = 2);
// The error on standard error, printable, as text or {"error": {"code", "message"}}; returns the
// exit code.
int Fail(const Status& status, bool json);

// "1.2 MiB", "3.4 s", "2026-03-01 09:30:00 UTC".
std::string BytesText(std::uint64_t bytes);
std::string SecondsText(double seconds);

}  // namespace tributary::cli
