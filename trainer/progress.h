// progress.jsonl: what a watcher sees while the trainer works.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "core/files.h"
#include "core/status.h"
#include "core/task_contract.h"

namespace tributary::trainer {

// Appends lines to DIRECTORY/progress.jsonl, each with one write. Not thread-safe.
class ProgressWriter {
 public:
  static Result<ProgressWriter> Open(const std::string& directory);

  // Writes the first ten steps, the last, and between them at most two lines a second. Sets
  // line.seconds.
  Status Report(ProgressLine line);
  // What is done before the first of `steps` steps; always written.
  Status Note(std::int64_t steps, const std::string& text);
  double Seconds() const;  // since Open()

 private:
  Status Write(const std::string& text);
  explicit ProgressWriter(FileDescriptor file) : file_(std::move(file)) {}

  FileDescriptor file_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point last_line_ = start_;
};

}  // namespace tributary::trainer
