// When work that is counted in steps will be done.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>

namespace tributary::cli {

// From the speed of the last minute: what ran before a restart does not count, and other load shows
// soon. One thread.
class TimeLeft {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit TimeLeft(std::int64_t total) : total_(total) {}

  // So many steps are done at `now`; neither ever goes back.
  void Note(Time now, std::int64_t done);
  // Nothing before there is a speed to tell from.
  std::optional<std::chrono::seconds> Left() const;

 private:
  std::int64_t total_;
  std::deque<std::pair<Time, std::int64_t>> seen_;
};

// "about 40 s left", "about 3 min left".
std::string LeftText(std::chrono::seconds left);

}  // namespace tributary::cli
