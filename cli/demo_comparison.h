// What the demonstration compares: the base model, each site alone, the federated models, all data
// in one place; by their held-out loss in every field.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/demo_federation.h"
#include "cli/demo_training.h"
#include "core/campaign_file.h"
#include "core/peft_adapter.h"
#include "core/status.h"

namespace tributary::cli {

// Where the comparison works and with what.
struct Comparison {
  std::string directory;
  std::string base_model;
  std::vector<DemoSite> sites;
  TrainerPool trainers;
  std::int64_t max_examples = 0;  // per field of an evaluation; 0: all
};

// One model: where its adapter lies and how well it does.
struct Contender {
  enum class Kind : std::uint8_t { kBase, kAlone, kFederated, kPooled };
  Kind kind = Kind::kBase;
  std::string label;
  std::string weights;  // safetensors
  AdapterConfig adapter;
  std::map<std::string, double> loss = {};  // by field
  double mean = 0;
};

// Each site alone with as many steps as it does in `campaign`, and all data in one place with as
// many steps as all sites do together. `initial`: the adapter that all start from.
Result<std::vector<Contender>> TrainApart(const Comparison& comparison,
                                          const CampaignFile& campaign, const std::string& initial);

// Fills in the losses.
Status EvaluateAll(const Comparison& comparison, std::vector<Contender>* contenders);

// Whether every federated model beats every site that stays alone, on the mean of the fields.
bool FederationWins(const std::vector<Contender>& contenders);

std::string Table(const std::vector<DemoSite>& sites, const std::vector<Contender>& contenders);
nlohmann::json ToJson(const std::vector<Contender>& contenders);

}  // namespace tributary::cli
