#include "core/log.h"

#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <atomic>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/clock.h"
#include "core/mutex.h"
#include "core/text.h"

namespace tributary {
namespace {

constexpr std::array<std::string_view, 5> kLevelNames = {"debug", "info", "warning", "error",
                                                         "off"};
constexpr std::size_t kMaxText = 6000;  // of a message or a value: the end of a job's error file

struct LogTarget {
  std::shared_ptr<spdlog::logger> logger = nullptr;
  bool json = false;
};

std::shared_ptr<spdlog::logger> MakeLogger(spdlog::sink_ptr sink) {
  auto logger = std::make_shared<spdlog::logger>("tributary", std::move(sink));
  logger->set_pattern("%v");
  logger->set_level(spdlog::level::trace);
  logger->flush_on(spdlog::level::trace);
  return logger;
}

// Never destroyed: threads may log until the process ends.
struct LogState {
  Mutex mutex;
  LogTarget target TRIBUTARY_GUARDED_BY(mutex){
      MakeLogger(std::make_shared<spdlog::sinks::stderr_sink_mt>())};
  std::atomic<LogLevel> level = LogLevel::kInfo;

  static LogState& Get() {
    static auto* state = new LogState;
    return *state;
  }
};

std::string ValueText(const LogField::Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
  if (const auto* number = std::get_if<std::uint64_t>(&value)) return std::to_string(*number);
  return fmt::format("{}", std::get<double>(value));
}

// Quoted when a reader could not tell where it ends.
std::string Quoted(std::string_view text) {
  std::string escaped = Excerpt(text, kMaxText);
  if (!escaped.empty() && escaped.find_first_of(" \"=") == std::string::npos) return escaped;
  std::string quoted = "\"";
  for (const char c : escaped) {
    if (c == '"') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

std::string TextLine(LogLevel level, std::string_view component, std::string_view message,
                     std::span<const LogField> fields) {
  std::string line = fmt::format("{} {:<7} {}: {}", FormatTimestamp(SystemClock().Now()),
                                 kLevelNames[static_cast<std::size_t>(level)],
                                 EscapeControl(component), Excerpt(message, kMaxText));
  for (const LogField& field : fields) {
    line.append(" ")
        .append(EscapeControl(field.key))
        .append("=")
        .append(Quoted(ValueText(field.value)));
  }
  return line;
}

// JSON escapes by itself; only the length is bounded here.
std::string CutText(std::string_view text) {
  if (text.size() <= kMaxText) return std::string(text);
  std::size_t end = kMaxText - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return std::string(text.substr(0, end)) + "...";
}

nlohmann::ordered_json ValueJson(const LogField::Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return CutText(*text);
  if (const auto* number = std::get_if<double>(&value); number && !std::isfinite(*number)) {
    return ValueText(value);  // JSON has no infinity
  }
  return std::visit([](const auto& v) { return nlohmann::ordered_json(v); }, value);
}

std::string JsonLine(LogLevel level, std::string_view component, std::string_view message,
                     std::span<const LogField> fields) {
  nlohmann::ordered_json line;
  line["time"] = FormatTimestamp(SystemClock().Now());
  line["level"] = kLevelNames[static_cast<std::size_t>(level)];
  line["component"] = component;
  line["message"] = CutText(message);
  for (const LogField& field : fields) {
    // A field cannot pass for one of the four above.
    std::string key(field.key);
    while (line.contains(key)) key += '_';
    line[key] = ValueJson(field.value);
  }
  // ASCII alone: nothing in it turns or hides what a terminal shows.
  return line.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
}

Result<std::size_t> IndexOf(std::string_view what, std::string_view word,
                            std::span<const std::string_view> words) {
  std::string known;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == word) return i;
    known.append(known.empty() ? "" : ", ").append(words[i]);
  }
  return InvalidArgumentError("log." + std::string(what) + ": \"" + Excerpt(word) +
                              "\" is not known; must be one of " + known);
}

}  // namespace

void LogOptions::Describe(ConfigVisitor& v) {
  v.Field("level", &level,
          {.doc = "least important lines written",
           .one_of = {"debug", "info", "warning", "error", "off"}});
  v.Field("format", &format, {.doc = "text or json lines", .one_of = {"text", "json"}});
  v.Field("file", &file, {.doc = "empty: standard error"});
  v.Field("max_file_size", &max_file_size, {.doc = "rotates at this size", .min = 4096});
  v.Field("max_files", &max_files, {.doc = "rotated files kept", .min = 1, .max = 1000});
}

Status StartLogging(const LogOptions& options) {
  constexpr std::array<std::string_view, 2> kFormats = {"text", "json"};
  TRIBUTARY_ASSIGN_OR_RETURN(const std::size_t level, IndexOf("level", options.level, kLevelNames));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::size_t format, IndexOf("format", options.format, kFormats));
  LogTarget target{.json = format == 1};
  try {
    spdlog::sink_ptr sink;
    if (options.file.empty()) {
      sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    } else {
      sink = std::make_shared<spdlog::sinks::rotating_file_sink_mt>(
          options.file, options.max_file_size.bytes, static_cast<std::size_t>(options.max_files));
    }
    target.logger = MakeLogger(std::move(sink));
  } catch (const std::exception& error) {
    return InvalidArgumentError("log.file: " + Excerpt(error.what(), 300));
  }
  LogState& state = LogState::Get();
  state.level.store(static_cast<LogLevel>(level), std::memory_order_relaxed);
  MutexLock lock(state.mutex);
  state.target = std::move(target);
  return OkStatus();
}

bool LogEnabled(LogLevel level) {
  return level >= LogState::Get().level.load(std::memory_order_relaxed) && level < LogLevel::kOff;
}

void Log(LogLevel level, std::string_view component, std::string_view message,
         std::span<const LogField> fields) {
  if (!LogEnabled(level)) return;
  LogState& state = LogState::Get();
  LogTarget target;
  {
    MutexLock lock(state.mutex);
    target = state.target;
  }
  const std::string line = target.json ? JsonLine(level, component, message, fields)
                                       : TextLine(level, component, message, fields);
  // spdlog reports a full disk on standard error itself and does not throw.
  target.logger->log(spdlog::level::info, fmt::string_view("{}"), line);
}

}  // namespace tributary
