// `tributary-client check-trainer -- COMMAND`: runs a trainer on made-up tasks and says where it
// does not keep the contract of docs/trainer_contract.md.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "client/doctor_check.h"
#include "core/status.h"

namespace tributary::client {

struct TrainerCheckOptions {
  std::vector<std::string> command;  // "train|evaluate --task DIR" is appended
  std::string model;                 // a model directory; empty: a tiny Llama is made up
  std::string data;                  // JSONL; empty: made up
  std::vector<std::string> target_modules = {"q_proj", "v_proj"};
  std::string directory;            // where the tasks stay to be looked at; empty: a temporary one
  std::chrono::seconds limit{300};  // of one run
  // Of the later runs, added to a multiple of what the first one took: until a trainer that reports
  // no steps gets its signal, and until a run that should be short is ended.
  std::chrono::milliseconds patience{5'000}, grace{30'000};
  std::function<bool()> keep_going = [] { return true; };  // false: interrupted
};

// Runs every trial in order and hands its outcome to `report` as it is known. An error when there
// is nothing to run: no material, no such command.
Status CheckTrainerContract(const TrainerCheckOptions& options,
                            const std::function<void(const Check&)>& report);

}  // namespace tributary::client
