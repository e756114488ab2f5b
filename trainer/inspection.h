// `tributary-trainer inspect`: what the trainer would refuse of a model, an adapter and data, said
// before a job waits for it. Reads what the trainer reads, with the code that the trainer has.
#pragma once

#include <chrono>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

namespace tributary::trainer {

struct InspectOptions {
  std::string model;                           // directory
  std::string adapter;                         // directory, with or without weights; empty: none
  std::vector<std::string> data;               // JSONL files
  std::string chat_template;                   // empty: as in training
  std::chrono::milliseconds patience{10'000};  // for all data: what takes longer is not read
  bool json = false;
};

struct Finding {
  std::string what;  // model, tokenizer, adapter, data
  std::string path;
  enum class Outcome : std::uint8_t { kOk, kWarning, kFailed } outcome = Outcome::kOk;
  std::string found;
};

// What a task may ask beyond plain training, by the names that offers of campaigns have.
const std::vector<std::string>& Abilities();

std::vector<Finding> Inspect(const InspectOptions& options);

// Prints the findings: lines, or one JSON object as docs/trainer_contract.md describes it. Whether
// nothing failed.
bool RunInspect(const InspectOptions& options, std::ostream& out);

}  // namespace tributary::trainer
