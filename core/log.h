// Structured logging: one line per event, readable text or JSON, to standard error or to a rotated
// file.
//
//   LogInfo("server", "round closed", {{"campaign", id}, {"round", round}});
//
// Every function may be called from any thread. Values from outside are escaped and cut: a line is
// always one event, safe to look at in a terminal, and of a few KiB at most.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "core/config.h"
#include "core/status.h"

namespace tributary {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarning, kError, kOff };

// A key and its value. Borrows the key.
struct LogField {
  using Value = std::variant<std::string, std::int64_t, std::uint64_t, double, bool>;

  LogField(std::string_view key, std::string_view text) : key(key), value(std::string(text)) {}
  LogField(std::string_view key, const std::string& text) : key(key), value(text) {}
  LogField(std::string_view key, const char* text) : key(key), value(std::string(text)) {}
  LogField(std::string_view key, const Status& status) : key(key), value(status.ToString()) {}
  LogField(std::string_view key, bool flag) : key(key), value(flag) {}
  LogField(std::string_view key, std::signed_integral auto number)
      : key(key), value(static_cast<std::int64_t>(number)) {}
  LogField(std::string_view key, std::unsigned_integral auto number)
      : key(key), value(static_cast<std::uint64_t>(number)) {}
  LogField(std::string_view key, std::floating_point auto number)
      : key(key), value(static_cast<double>(number)) {}

  std::string_view key;
  Value value;
};

struct LogOptions {
  std::string level = "info";   // debug | info | warning | error | off
  std::string format = "text";  // text | json
  std::string file;             // empty: standard error
  ByteSize max_file_size{std::uint64_t{64} << 20};
  std::int64_t max_files = 5;  // rotated files kept beside the current one

  void Describe(ConfigVisitor& v);
};

// Replaces where lines go. Before the first call: text at level info to standard error. On failure
// nothing changes.
Status StartLogging(const LogOptions& options);

bool LogEnabled(LogLevel level);
void Log(LogLevel level, std::string_view component, std::string_view message,
         std::span<const LogField> fields);
inline void Log(LogLevel level, std::string_view component, std::string_view message,
                std::initializer_list<LogField> fields = {}) {
  Log(level, component, message, std::span(fields.begin(), fields.size()));
}

inline void LogDebug(std::string_view component, std::string_view message,
                     std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kDebug, component, message, fields);
}
inline void LogInfo(std::string_view component, std::string_view message,
                    std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kInfo, component, message, fields);
}
inline void LogWarning(std::string_view component, std::string_view message,
                       std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kWarning, component, message, fields);
}
inline void LogError(std::string_view component, std::string_view message,
                     std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kError, component, message, fields);
}

}  // namespace tributary
