// The campaign file: what a lead writes and submits. Loaded by core/config.h; see
// configs/campaigns/ for commented examples.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/peft_adapter.h"
#include "core/task_contract.h"

namespace tributary {

struct ModelSection {
  std::string name;    // what the sites' files call the base model
  std::string config;  // the lead's copy of the model's config.json (or its directory): gives the
                       // adapter its shapes
  void Describe(ConfigVisitor& v);
};

struct AdapterSection {
  std::string kind = "lora";
  std::int64_t rank = 8;  // of the global adapter
  double alpha = 16;
  double dropout = 0;
  std::vector<std::string> target_modules = {"q_proj", "v_proj"};
  std::string target_pattern;  // instead of them
  bool use_rslora = false;
  bool middle = false;
  std::map<std::string, std::int64_t> rank_pattern;
  std::map<std::string, double> alpha_pattern;
  std::vector<std::string> modules_to_save;
  std::map<std::string, std::int64_t> site_ranks;  // sites that train fewer ranks than `rank`
  std::string initial;  // directory of an adapter to start from; empty: PEFT's initialisation
  void Describe(ConfigVisitor& v);
};

struct DataSection {
  std::string train;  // data names, mapped to paths by each site
  std::vector<std::string> evaluate;
  std::string chat_template;       // docs/data.md; empty: the trainers decide
  std::int64_t max_bad_lines = 0;  // of each file, that are left out
  void Describe(ConfigVisitor& v);
};

// Which mathematics turns updates into the next version; read by aggregators::MakeAggregator.
struct AggregatorSection {
  std::string kind = "fedavg";
  std::string weights = "samples";                    // equal | samples | tokens | steps | custom
  std::map<std::string, double> custom_weights = {};  // site -> weight
  double max_update_norm = 0;  // of all that a site sends; larger ones are refused; 0: no limit
  double weight_cap = 0;  // what a site counts for at most, in the unit of `weights`; 0: no limit
  double server_learning_rate = 1;
  std::map<std::string, std::string> options = {};  // the strategy's own, see aggregators/options.h
  void Describe(ConfigVisitor& v);
};

// How updates travel from the sites.
struct UpdateSection {
  std::string dtype = "f32";  // f32 | bf16 | int8
  bool error_feedback = true;
  void Describe(ConfigVisitor& v);
};

// Who trains when, and when a round closes; read by server::MakePacing.
struct PacingSection {
  std::string kind = "synchronous";
  std::int64_t rounds = 10;
  std::int64_t sites_per_round = 0;  // 0: all that accepted
  std::int64_t quorum = 0;           // updates that make a version; 0: one from every selected site
  std::chrono::seconds deadline{0};  // a round with a quorum closes then; 0: waits for every site
  std::int64_t attempts = 3;         // of a task that fails
  void Describe(ConfigVisitor& v);
};

struct EvaluationSection {
  std::int64_t every = 1;  // rounds; 0: never
  std::int64_t batch_size = 16;
  std::int64_t max_examples = 0;   // per data name; 0: all
  std::int64_t answer_tokens = 0;  // of an answer, for exact match; 0: no exact match
  void Describe(ConfigVisitor& v);
};

struct TrainingSection : TrainingSettings {
  void Describe(ConfigVisitor& v);
};

struct CampaignFile {
  std::string name;
  ModelSection model;
  AdapterSection adapter;
  DataSection data;
  std::vector<std::string> sites;
  AggregatorSection aggregator;
  UpdateSection update;
  PacingSection pacing;
  TrainingSection training;
  EvaluationSection evaluation;
  std::chrono::seconds walltime{3600};  // of one task's job
  std::int64_t seed = 1;

  void Describe(ConfigVisitor& v);
  void Check(ConfigProblems& problems) const;

  AdapterConfig ToAdapterConfig() const;
};

// Site, campaign and user names: [a-z0-9][a-z0-9-]{0,62}.
bool IsPlainName(std::string_view name);

// What a campaign goes by: the name in its file, or <name>@<n> for the nth one of that name, after
// those before it were cancelled; n from 2 to 9999.
bool IsCampaignId(std::string_view id);
std::string NthCampaignId(std::string_view name, std::int64_t nth);
// The name in the campaign's file.
std::string_view CampaignNameOf(std::string_view id);

// "<campaign>." and letters, digits, dots and dashes. A task's id names a directory at its site:
// nothing else may become one.
bool IsTaskId(std::string_view campaign, std::string_view id);

}  // namespace tributary
