#include "core/progress_file.h"

#include <nlohmann/json.hpp>

#include "core/files.h"
#include "core/json.h"

namespace tributary {
namespace {

std::optional<std::string> LastLine(const std::string& task_directory) {
  constexpr std::size_t kTailBytes = 4096;  // many times a line
  const auto tail = ReadFileTail(JoinPath(task_directory, kProgressFile), kTailBytes);
  if (!tail.ok()) return std::nullopt;
  const std::size_t end = tail->rfind('\n');  // what follows is not whole yet
  if (end == std::string::npos) return std::nullopt;
  const std::size_t before = end == 0 ? std::string::npos : tail->rfind('\n', end - 1);
  const std::size_t begin = before == std::string::npos ? 0 : before + 1;
  return tail->substr(begin, end - begin);
}

}  // namespace

std::optional<ProgressLine> LastProgress(const std::string& task_directory) {
  const auto text = LastLine(task_directory);
  if (!text) return std::nullopt;
  const auto line = ProgressLine::FromJson(*text);
  return line.ok() ? std::optional(*line) : std::nullopt;
}

std::string LastProgressNote(const std::string& task_directory) {
  const auto text = LastLine(task_directory);
  if (!text) return "";
  const auto line = ParseJson(*text, kProgressFile);
  if (!line.ok() || !line->is_object()) return "";
  const auto note = line->find("note");
  return note != line->end() && note->is_string() ? note->get<std::string>() : "";
}

}  // namespace tributary
