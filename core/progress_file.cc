#include "core/progress_file.h"

#include "core/files.h"

namespace tributary {

std::optional<ProgressLine> LastProgress(const std::string& task_directory) {
  constexpr std::size_t kTailBytes = 4096;  // many times a line
  const auto tail = ReadFileTail(JoinPath(task_directory, kProgressFile), kTailBytes);
  if (!tail.ok()) return std::nullopt;
  const std::size_t end = tail->rfind('\n');  // what follows is not whole yet
  if (end == std::string::npos) return std::nullopt;
  const std::size_t before = end == 0 ? std::string::npos : tail->rfind('\n', end - 1);
  const std::size_t begin = before == std::string::npos ? 0 : before + 1;
  const auto line = ProgressLine::FromJson(std::string_view(*tail).substr(begin, end - begin));
  return line.ok() ? std::optional(*line) : std::nullopt;
}

}  // namespace tributary
