#include "trainer/progress.h"

#include <fcntl.h>

#include <nlohmann/json.hpp>

namespace tributary::trainer {
namespace {

constexpr std::int64_t kAlwaysFirst = 10;
constexpr std::chrono::milliseconds kInterval{500};

}  // namespace

Result<ProgressWriter> ProgressWriter::Open(const std::string& directory) {
  TRIBUTARY_ASSIGN_OR_RETURN(FileDescriptor file, OpenFile(JoinPath(directory, kProgressFile),
                                                           O_WRONLY | O_CREAT | O_APPEND, 0600));
  return ProgressWriter(std::move(file));
}

double ProgressWriter::Seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

Status ProgressWriter::Report(ProgressLine line) {
  const auto now = std::chrono::steady_clock::now();
  const bool due =
      line.step <= kAlwaysFirst || line.step == line.steps || now - last_line_ >= kInterval;
  if (!due) return OkStatus();
  last_line_ = now;
  line.seconds = Seconds();
  return Write(line.ToJson());
}

Status ProgressWriter::Note(std::int64_t steps, const std::string& text) {
  const nlohmann::json line = {
      {"step", 0}, {"steps", steps}, {"loss", 0}, {"seconds", Seconds()}, {"note", text}};
  return Write(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

Status ProgressWriter::Write(const std::string& text) {
  return WriteAll(file_.get(), text.data(), text.size());
}

}  // namespace tributary::trainer
