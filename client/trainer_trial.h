// One run of a trainer on a made-up task, and what is right and wrong about what it left behind.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/doctor_check.h"
#include "core/task_contract.h"

namespace tributary::client {

inline constexpr std::int64_t kSeenSteps = 2;  // reported before a trainer gets a signal

// What a run left behind.
struct Trial {
  std::string directory;
  int exit_code = 0;
  std::string late;     // why it was ended; empty: it ended by itself
  bool blind = false;   // it got its signal although it had reported no steps
  bool silent = false;  // nor anything else
  std::chrono::milliseconds took{0};
  std::optional<TaskResult> result;
  Status result_status;

  std::string Update(std::string_view file) const {
    return directory + "/update/" + std::string(file);
  }
};

// What a trial finds wrong; the first stands for all.
class Findings {
 public:
  void Expect(bool right, const std::string& otherwise) {
    if (!right && wrong_.empty()) wrong_ = otherwise;
  }
  // `output`: where the trainer's output is.
  Check ToCheck(const std::string& name, const std::string& found,
                const std::string& output) const {
    if (wrong_.empty()) return Passed(name, found);
    return Failed(name, wrong_, "see \"" + name + "\" in docs/trainer_contract.md; " + output);
  }
  bool ok() const { return wrong_.empty(); }

 private:
  std::string wrong_;
};

// Of the last line of progress.jsonl; 0 when there is none.
std::int64_t LastStep(const std::string& directory);

struct TrialRun {
  std::vector<std::string> command;
  std::string kind;       // train | evaluate
  std::string directory;  // a staged task
  std::string log;        // of the trainer's output
  int signal = 0;         // sent when kSeenSteps were reported; 0: none
  std::chrono::milliseconds limit{300'000};
  std::chrono::milliseconds signal_after{0};  // whatever it reported; 0: with the steps alone
  std::chrono::milliseconds end_within{0};    // after the signal; 0: the limit alone
  std::function<bool()> keep_going;
};
Trial RunTrial(const TrialRun& run);

// It ended in time and well, with a result of this kind.
void ExpectEnd(const Trial& trial, Completion completion, Findings* findings);

// Trained weights of the names and shapes of `start`, the file that the task began with, and
// nothing else of the directory touched. After ExpectEnd.
void ExpectAdapter(const Trial& trial, const std::string& start, std::int64_t steps,
                   Findings* findings);

// The tensors that `which` picks are bit for bit those of `start`. After ExpectEnd.
void ExpectUnchanged(const Trial& trial, const std::string& start,
                     const std::function<bool(std::string_view)>& which, Findings* findings);

// Ranks of LoRA factors from `kept` on are zero, and not all of those before. After ExpectAdapter.
void ExpectEmptyRanks(const Trial& trial, std::int64_t kept, Findings* findings);

}  // namespace tributary::client
