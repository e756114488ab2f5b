// How a campaign looks: a table that a terminal redraws, or lines where the output is no terminal.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tributary/v1/control.pb.h"

namespace tributary::cli {

// "training", "training (paused)".
std::string PhaseText(const v1::CampaignStatus& status);

// Texts in a status may come from anybody: what is made of them here is printable.

// Several lines: phase, sites, tasks under way, the last `max_rounds` rounds (0: all).
std::string RenderStatus(const v1::CampaignStatus& status, int max_rounds);

// Turns successive statuses into lines, one per thing that changed: answers, phases of tasks,
// closed rounds, the end.
class LineReporter {
 public:
  std::vector<std::string> Update(const v1::CampaignStatus& status);

 private:
  std::map<std::string, std::string> seen_;  // what was said last, by thing
};

// Draws statuses on standard output, as a redrawn table or as lines. One thread.
class WatchPrinter {
 public:
  explicit WatchPrinter(bool terminal) : terminal_(terminal) {}
  void Show(const v1::CampaignStatus& status);

 private:
  const bool terminal_;
  int drawn_lines_ = 0;
  LineReporter lines_;
};
bool OutputIsTerminal();

}  // namespace tributary::cli
