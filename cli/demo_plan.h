// What a demonstration will do: paths, model, settings, campaigns; decided before anything starts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/demo.h"
#include "cli/demo_federation.h"
#include "core/campaign_file.h"
#include "core/status.h"

namespace tributary::cli {

// Changes when the recipe of the made-up base model does: with the number of steps it is the name
// of its folder.
inline constexpr const char* kBaseName = "base-v2";

inline constexpr std::int64_t kEvaluationBatch = 32;  // sequences at a time

// Where the base model comes from.
enum class DemoModel : std::uint8_t { kMadeUp, kSmolLm2, kDirectory };

// How the sites train, and what a person waits for; the options may override it.
struct DemoPlan {
  DemoOptions options;
  std::string directory, run, data;  // absolute: of all runs, of this one, of the texts
  DemoModel model = DemoModel::kMadeUp;
  std::string model_name;       // what campaign and sites call it
  std::string model_directory;  // absolute; kSmolLm2: known once it is prepared
  std::vector<DemoSite> sites;
  std::int64_t rounds = 0, steps = 0;  // per round and site
  std::int64_t batch_size = 0;
  double learning_rate = 0;
  std::int64_t evaluation_examples = 0;  // per field, of the comparison; a round takes half
  std::string duration;                  // for people
};

// Resolves the options. Invalid argument, naming the option, when one cannot be what it is.
Result<DemoPlan> MakeDemoPlan(const DemoOptions& options);

// The campaign of the default strategy, which the sites alone and the pool follow too.
CampaignFile PlainCampaign(const DemoPlan& plan);
// One for each strategy.
std::vector<CampaignFile> PlannedCampaigns(const DemoPlan& plan);

}  // namespace tributary::cli
