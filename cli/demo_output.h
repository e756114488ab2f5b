// What the demonstration says while it works: a redrawn line in a terminal, lines in a file.
#pragma once

#include <chrono>
#include <string>

#include "cli/demo_training.h"

namespace tributary::cli {

// One thread.
class DemoOutput {
 public:
  // Quiet (--json): nothing but the result is printed.
  explicit DemoOutput(bool quiet);

  void Say(const std::string& text);
  // Progress of what was said last. In a terminal the line is redrawn; in a file one is written at
  // most every ten seconds, and when there is news.
  void Progress(const TrainersProgress& progress);
  // Takes the line of a terminal away, for what is printed otherwise.
  void EndProgress();
  // Progress() as a function; it does not outlive this object.
  ProgressListener Listener() {
    return [this](const TrainersProgress& progress) { Progress(progress); };
  }

  bool quiet() const { return quiet_; }
  double Seconds() const;  // since the beginning

 private:
  using Steady = std::chrono::steady_clock;

  void Line(const std::string& text) const;

  const bool quiet_;
  const bool terminal_;
  const Steady::time_point began_ = Steady::now();
  Steady::time_point last_line_;
  bool drawn_ = false;  // there is a progress line in the terminal
};

}  // namespace tributary::cli
