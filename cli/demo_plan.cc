#include "cli/demo_plan.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "cli/wordnet.h"
#include "core/clock.h"
#include "core/files.h"
#include "core/text.h"

namespace tributary::cli {
namespace {

constexpr std::int64_t kRank = 8;
constexpr std::int64_t kSequenceLength = 96;  // more than almost all definitions have

std::string Variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread here
  return value == nullptr ? "" : value;
}

std::string Absolute(const std::string& path) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  return error ? path : absolute.lexically_normal().string();
}

Result<std::string> ChooseDirectory(const std::string& asked) {
  if (!asked.empty()) return Absolute(asked);
  if (const std::string cache = Variable("XDG_CACHE_HOME"); cache.starts_with('/')) {
    return JoinPath(cache, "tributary/demo");
  }
  if (const std::string home = Variable("HOME"); home.starts_with('/')) {
    return JoinPath(home, ".cache/tributary/demo");
  }
  return InvalidArgumentError(
      "neither XDG_CACHE_HOME nor HOME names a directory; say with --dir where data, base model "
      "and "
      "runs may go");
}

// Named after the time, as a file name of any system may be; a second run of one second has a
// number.
std::string RunDirectory(const std::string& directory) {
  std::string name = "run-" + FormatTimestamp(SystemClock().Now()).substr(0, 19);
  std::replace(name.begin(), name.end(), ':', '-');
  const std::string first = JoinPath(directory, name);
  std::string run = first;
  for (int number = 2; PathExists(run); ++number) run = first + "-" + std::to_string(number);
  return run;
}

Status ChooseModel(const std::string& asked, DemoPlan* plan) {
  if (asked.empty()) {
    plan->model = DemoModel::kMadeUp;
    plan->model_name = "wordnet-base";
    plan->model_directory = JoinPath(
        plan->directory, kBaseName + std::string("-") + std::to_string(plan->options.base_steps));
    return OkStatus();
  }
  if (asked == "smollm2") {
    plan->model = DemoModel::kSmolLm2;
    plan->model_name = "smollm2";
    return OkStatus();
  }
  plan->model = DemoModel::kDirectory;
  plan->model_name = "given-model";
  plan->model_directory = Absolute(asked);
  if (!PathExists(JoinPath(plan->model_directory, "config.json"))) {
    return InvalidArgumentError("--model: \"" + Excerpt(asked) +
                                "\" is neither smollm2 nor a model directory: " +
                                JoinPath(plan->model_directory, "config.json") + " does not exist");
  }
  return OkStatus();
}

// A made-up base is small and young: many steps at a high rate. One that has read much needs few,
// and each costs a hundred times as much.
void ChooseSettings(DemoPlan* plan) {
  const bool made_up = plan->model == DemoModel::kMadeUp;
  const DemoOptions& options = plan->options;
  const auto choose = [made_up](auto asked, auto small, auto real) {
    return asked > 0 ? asked : made_up ? small : real;
  };
  plan->rounds = choose(options.rounds, std::int64_t{5}, std::int64_t{2});
  plan->steps = choose(options.steps, std::int64_t{40}, std::int64_t{10});
  plan->learning_rate = choose(options.learning_rate, 3e-3, 1e-3);
  plan->batch_size = 16;
  plan->evaluation_examples = made_up ? 300 : 100;
  plan->duration = made_up ? "about 4 minutes in all on two idle cores"
                           : "about 20 minutes in all for a model of 135M parameters on two idle "
                             "cores; --rounds and --steps make it shorter";
}

}  // namespace

Result<DemoPlan> MakeDemoPlan(const DemoOptions& options) {
  DemoPlan plan;
  plan.options = options;
  TRIBUTARY_ASSIGN_OR_RETURN(plan.directory, ChooseDirectory(options.directory));
  plan.data = JoinPath(plan.directory, "data");
  plan.run = RunDirectory(plan.directory);
  TRIBUTARY_RETURN_IF_ERROR(ChooseModel(options.model, &plan));
  ChooseSettings(&plan);
  for (const WordNetField field : kSiteFields) {
    const std::string name(FieldName(field));
    plan.sites.push_back(
        {name, plan.data + "/" + name + "/train.jsonl", plan.data + "/" + name + "/heldout.jsonl"});
  }
  plan.sites.front().trainer = options.trainer;
  if (!options.trainer.empty() && options.trainer.front().find('/') != std::string::npos) {
    plan.sites.front().trainer.front() = Absolute(options.trainer.front());
  }
  return plan;
}

CampaignFile PlainCampaign(const DemoPlan& plan) {
  const DemoOptions& options = plan.options;
  CampaignFile file;
  file.name = kDemoCampaign;
  file.model = {plan.model_name, plan.model_directory};
  file.adapter.rank = kRank;
  if (!options.ranks.empty()) {
    file.adapter.rank = *std::max_element(options.ranks.begin(), options.ranks.end());
    for (std::size_t i = 0; i < plan.sites.size(); ++i) {
      const std::int64_t rank = options.ranks[i];
      if (rank < file.adapter.rank) file.adapter.site_ranks[plan.sites[i].name] = rank;
    }
  }
  file.adapter.alpha = 2 * static_cast<double>(file.adapter.rank);
  file.adapter.target_modules.clear();
  file.adapter.target_pattern = "all-linear";
  if (!options.initial.empty()) file.adapter.initial = Absolute(options.initial);
  file.data.train = "field";
  file.data.evaluate = {"field-heldout"};
  for (const DemoSite& site : plan.sites) file.sites.push_back(site.name);
  file.pacing.rounds = plan.rounds;
  file.training.steps = plan.steps;
  file.training.batch_size = plan.batch_size;
  file.training.sequence_length = kSequenceLength;
  file.training.learning_rate = plan.learning_rate;
  file.evaluation.batch_size = kEvaluationBatch;
  file.evaluation.max_examples = plan.evaluation_examples / 2;
  file.walltime = std::chrono::seconds(1800);
  file.seed = options.seed;
  return file;
}

std::vector<CampaignFile> PlannedCampaigns(const DemoPlan& plan) {
  CampaignFile file = PlainCampaign(plan);
  if (plan.options.strategies.empty()) return {file};
  std::vector<CampaignFile> files;
  for (const std::string& kind : plan.options.strategies) {
    file.name = std::string(kDemoCampaign) + "-" + kind;
    file.aggregator.kind = kind;
    file.adapter.middle = kind == "fed-sb";
    files.push_back(file);
  }
  return files;
}

}  // namespace tributary::cli
