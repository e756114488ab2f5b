#include "cli/demo_comparison.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/demo_plan.h"
#include "core/files.h"

namespace tributary::cli {
namespace {

using nlohmann::json;

TaskFile TrainTask(const Comparison& comparison, const CampaignFile& campaign,
                   const std::string& name) {
  TaskFile task;
  task.kind = TaskKind::kTrain;
  task.task = name;
  task.campaign = campaign.name;
  task.site = name;
  task.seed = static_cast<std::uint64_t>(campaign.seed);
  task.model_path = comparison.base_model;
  task.training = campaign.training;
  task.training.steps = campaign.training.steps * campaign.pacing.rounds;
  task.threads = 1;
  return task;
}

TaskFile EvaluateTask(const Comparison& comparison, const std::string& name) {
  TaskFile task;
  task.kind = TaskKind::kEvaluate;
  task.task = name;
  task.campaign = "demo";
  task.site = "demo";
  task.model_path = comparison.base_model;
  for (const DemoSite& site : comparison.sites) task.data.push_back({site.name, site.heldout});
  task.evaluation_batch_size = kEvaluationBatch;
  task.evaluation_max_examples = comparison.max_examples;
  task.threads = 1;
  return task;
}

}  // namespace

Result<std::vector<Contender>> TrainApart(const Comparison& comparison,
                                          const CampaignFile& campaign,
                                          const std::string& initial) {
  const AdapterConfig adapter = campaign.ToAdapterConfig();
  std::vector<TrainerRun> runs;
  std::vector<Contender> contenders;
  const auto add = [&](Contender::Kind kind, const std::string& label,
                       const TaskFile& task) -> Status {
    const std::string directory = JoinPath(comparison.directory, task.task);
    TRIBUTARY_RETURN_IF_ERROR(PrepareTask(directory, task, initial, adapter));
    runs.push_back({label, "train", directory, task.training.steps});
    contenders.push_back(
        {kind, label, directory + "/update/" + std::string(kAdapterWeightsFile), adapter});
    return OkStatus();
  };
  TaskFile pooled = TrainTask(comparison, campaign, "pooled");
  pooled.training.steps *= static_cast<std::int64_t>(comparison.sites.size());
  for (const DemoSite& site : comparison.sites) pooled.data.push_back({site.name, site.train});
  TRIBUTARY_RETURN_IF_ERROR(add(Contender::Kind::kPooled, "pooled", pooled));  // the longest first
  for (const DemoSite& site : comparison.sites) {
    TaskFile alone = TrainTask(comparison, campaign, "alone-" + site.name);
    alone.data.push_back({site.name, site.train});
    TRIBUTARY_RETURN_IF_ERROR(add(Contender::Kind::kAlone, site.name + " alone", alone));
  }
  TRIBUTARY_RETURN_IF_ERROR(RunTrainers(runs, comparison.trainers));
  return contenders;
}

Status EvaluateAll(const Comparison& comparison, std::vector<Contender>* contenders) {
  std::vector<TrainerRun> runs;
  for (std::size_t i = 0; i < contenders->size(); ++i) {
    const Contender& contender = (*contenders)[i];
    const TaskFile task = EvaluateTask(comparison, "evaluate-" + std::to_string(i));
    const std::string directory = JoinPath(comparison.directory, task.task);
    TRIBUTARY_RETURN_IF_ERROR(PrepareTask(directory, task, contender.weights, contender.adapter));
    runs.push_back({"evaluating " + contender.label, "evaluate", directory});
  }
  TRIBUTARY_RETURN_IF_ERROR(RunTrainers(runs, comparison.trainers));
  for (std::size_t i = 0; i < contenders->size(); ++i) {
    Contender& contender = (*contenders)[i];
    TRIBUTARY_ASSIGN_OR_RETURN(const TaskResult result, ReadTrainerResult(runs[i].directory));
    for (const DemoSite& site : comparison.sites) {
      const auto it = result.metrics.find("loss/" + site.name);
      if (it == result.metrics.end()) return InternalError("no loss for " + site.name);
      contender.loss[site.name] = it->second;
      contender.mean += it->second / static_cast<double>(comparison.sites.size());
    }
  }
  return OkStatus();
}

bool FederationWins(const std::vector<Contender>& contenders) {
  double worst_federated = -1e300;
  double best_alone = 1e300;
  for (const Contender& c : contenders) {
    if (c.kind == Contender::Kind::kFederated) worst_federated = std::max(worst_federated, c.mean);
    if (c.kind == Contender::Kind::kAlone) best_alone = std::min(best_alone, c.mean);
  }
  return worst_federated < best_alone;
}

std::string Table(const std::vector<DemoSite>& sites, const std::vector<Contender>& contenders) {
  char cell[64];
  std::snprintf(cell, sizeof cell, "%-24s", "held-out loss");
  std::string text = std::string("\n") + cell;
  for (const DemoSite& site : sites) {
    std::snprintf(cell, sizeof cell, " %18s", site.name.c_str());
    text += cell;
  }
  text += "       mean\n";
  for (const Contender& c : contenders) {
    std::snprintf(cell, sizeof cell, "%-24s", c.label.c_str());
    text += cell;
    for (const DemoSite& site : sites) {
      std::snprintf(cell, sizeof cell, " %18.4f", c.loss.at(site.name));
      text += cell;
    }
    std::snprintf(cell, sizeof cell, " %10.4f\n", c.mean);
    text += cell;
  }
  return text;
}

json ToJson(const std::vector<Contender>& contenders) {
  json models = json::array();
  for (const Contender& c : contenders) {
    models.push_back({{"model", c.label}, {"loss", c.loss}, {"mean_loss", c.mean}});
  }
  return models;
}

}  // namespace tributary::cli
