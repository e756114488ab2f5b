// What the base model and the federated one write about words that no site has trained on.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/demo_plan.h"
#include "cli/demo_training.h"
#include "core/status.h"

namespace tributary::cli {

struct Sample {
  std::string prompt;   // "Define: amethyst"
  std::string wordnet;  // the held-out definition; empty where this WordNet has none
  std::string base, federated;
};

// One word of each field, the likeliest text. `adapter`: the directory of the federated one.
Result<std::vector<Sample>> WriteSamples(const DemoPlan& plan, const std::string& adapter,
                                         const TrainerPool& pool);

std::string SamplesText(const std::vector<Sample>& samples);
nlohmann::json ToJson(const std::vector<Sample>& samples);

// The first line with text, without what surrounds it; at most `max_bytes`, and whole characters.
std::string FirstLine(const std::string& text, std::size_t max_bytes);

}  // namespace tributary::cli
