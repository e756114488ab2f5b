#include "cli/demo.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "cli/campaign_commands.h"
#include "cli/demo_federation.h"
#include "cli/demo_training.h"
#include "cli/initial_adapter.h"
#include "cli/output.h"
#include "cli/watch_command.h"
#include "cli/watch_view.h"
#include "cli/wordnet.h"
#include "core/clock.h"
#include "core/config.h"
#include "core/files.h"

namespace tributary::cli {
namespace {

using nlohmann::json;

// Changes when the recipe of the cached base model does.
constexpr const char* kBaseName = "base-v2";
constexpr int kParallel = 2;

// Steps per round and site when --steps is not given.
constexpr std::int64_t kDefaultSteps = 40;

struct Demo {
  DemoOptions options;
  bool quiet = false;  // --json: nothing but the result on standard output
  std::string data, base, run;
  std::vector<DemoSite> sites;
  std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now();

  void Say(const std::string& text) const {
    if (quiet) return;
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    std::printf("[%5.0f s] %s\n", seconds, text.c_str());
    std::fflush(stdout);
  }
  // Progress of one step: redrawn in a terminal, otherwise said at most every ten seconds.
  std::function<void(const std::string&)> Progress() const {
    return [this, last = std::chrono::steady_clock::time_point(),
            terminal = OutputIsTerminal()](const std::string& text) mutable {
      if (quiet) return;
      if (terminal) {
        std::printf("\r\x1b[2K          %s", text.substr(0, 100).c_str());
        std::fflush(stdout);
        return;
      }
      const auto now = std::chrono::steady_clock::now();
      if (now - last < std::chrono::seconds(10)) return;
      last = now;
      Say("  " + text);
    };
  }
  void EndProgress() const {
    if (!quiet && OutputIsTerminal()) std::printf("\r\x1b[2K");
  }
};

std::string DefaultDirectory() {
  const char* cache = std::getenv("XDG_CACHE_HOME");  // NOLINT(concurrency-mt-unsafe)
  if (cache != nullptr && *cache != '\0') return JoinPath(cache, "tributary/demo");
  const char* home = std::getenv("HOME");  // NOLINT(concurrency-mt-unsafe)
  return JoinPath(home == nullptr ? "/tmp" : home, ".cache/tributary/demo");
}

Status PrepareData(Demo& demo) {
  demo.data = JoinPath(demo.options.directory, "data");
  for (const WordNetField field : kSiteFields) {
    const std::string name(FieldName(field));
    demo.sites.push_back(
        {name, demo.data + "/" + name + "/train.jsonl", demo.data + "/" + name + "/heldout.jsonl"});
  }
  demo.Say("data: WordNet's definitions, by field of knowledge (about 5 s)");
  TRIBUTARY_ASSIGN_OR_RETURN(
      const WordNetCorpus corpus,
      LoadWordNet(demo.options.wordnet).Annotate("Debian's package wordnet-base has the data"));
  return WriteWordNetData(corpus, demo.data);
}

Status PretrainBase(Demo& demo) {
  demo.base = JoinPath(demo.options.directory,
                       kBaseName + std::string("-") + std::to_string(demo.options.base_steps));
  if (demo.options.fresh_base) TRIBUTARY_RETURN_IF_ERROR(RemoveTree(demo.base));
  if (PathExists(JoinPath(demo.base, "config.json"))) {
    demo.Say("base model: from the cache, " + demo.base);
    return OkStatus();
  }
  demo.Say(
      "base model: pretraining a small Llama on everything else in WordNet (about 4 min, once)");
  const std::string work = demo.run + "/pretrain";
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(work));
  const json recipe = {{"model",
                        {{"hidden_size", 128},
                         {"layers", 4},
                         {"heads", 4},
                         {"kv_heads", 2},
                         {"intermediate_size", 384},
                         {"vocab_size", 2048}}},
                       {"training",
                        {{"steps", demo.options.base_steps},
                         {"batch_size", 32},
                         {"sequence_length", 96},
                         {"learning_rate", 4e-3},
                         {"schedule", "cosine"},
                         {"warmup_steps", std::min<std::int64_t>(100, demo.options.base_steps / 2)},
                         {"weight_decay", 0.05},
                         {"beta2", 0.95}}},
                       {"seed", 1},
                       {"data", {demo.data + "/rest.jsonl"}},
                       {"threads", kParallel},
                       {"output_path", demo.base}};
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(work + "/pretrain.json", recipe.dump(2)));
  const Status status = RunTrainers({{"pretraining", "pretrain", work}}, 1, demo.Progress());
  demo.EndProgress();
  return status;
}

CampaignFile CampaignOf(const Demo& demo) {
  CampaignFile file;
  file.name = "wordnet-demo";
  file.model = {"wordnet-base", demo.base};
  file.adapter.rank = 8;
  file.adapter.alpha = 16;
  file.adapter.target_modules = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                 "gate_proj", "up_proj", "down_proj"};
  file.data = {"field", {"field-heldout"}};
  for (const DemoSite& site : demo.sites) file.sites.push_back(site.name);
  file.pacing.rounds = demo.options.rounds;
  file.training.steps = demo.options.steps;
  file.training.batch_size = 16;
  file.training.sequence_length = 96;
  file.training.learning_rate = 3e-3;
  file.evaluation.batch_size = 32;
  file.evaluation.max_examples = 200;
  file.walltime = std::chrono::seconds(1800);
  file.seed = demo.options.seed;
  return file;
}

Status Federate(Demo& demo, const CampaignFile& campaign, const std::string& exported) {
  demo.Say("federation: server and three sites over mutual TLS, " +
           std::to_string(campaign.pacing.rounds) + " rounds of LoRA, " +
           std::to_string(campaign.training.steps) + " steps each (about 1 min)");
  TRIBUTARY_ASSIGN_OR_RETURN(
      DemoFederation federation,
      DemoFederation::Start(demo.run + "/federation", demo.base, demo.sites));
  demo.Say("  logs: " + demo.run + "/federation/server/server.log, .../sites/*/client.log");
  const std::string file = demo.run + "/campaign.yaml";
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(file, PrintYaml(campaign)));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string id, SubmitFile(federation.lead(), file));
  WatchPrinter printer(OutputIsTerminal());
  Status alive;
  const auto last = FollowCampaign(
      federation.lead(), id,
      [&](const v1::CampaignStatus& status) {
        if (!demo.quiet) printer.Show(status);
      },
      [&] {
        alive = federation.CheckAlive();
        return alive.ok();
      });
  TRIBUTARY_RETURN_IF_ERROR(alive);
  if (!last.ok()) return last.status();
  if (last->phase() != "completed") return AbortedError("the campaign ended as " + last->phase());
  return ExportAdapter(federation.lead(), {id, exported, -1, demo.base}).status();
}

// What each model is, and where its adapter lies.
struct Contender {
  std::string label;
  std::string adapter;                 // safetensors
  std::map<std::string, double> loss;  // by field
  double mean = 0;
};

TaskFile TrainTask(const Demo& demo, const CampaignFile& campaign, const std::string& name) {
  TaskFile task;
  task.kind = TaskKind::kTrain;
  task.task = name;
  task.campaign = campaign.name;
  task.site = name;
  task.seed = static_cast<std::uint64_t>(campaign.seed);
  task.model_path = demo.base;
  task.training = campaign.training;
  task.training.steps = campaign.training.steps * campaign.pacing.rounds;
  task.threads = 1;
  return task;
}

// Each site alone with as many steps as it did in the federation, and all data in one place with as
// many steps as all sites did together.
Status TrainForComparison(Demo& demo, const CampaignFile& campaign, const std::string& initial,
                          std::vector<Contender>* contenders) {
  demo.Say("comparison: each site alone, and all data pooled, with the same steps (about 2 min)");
  std::vector<TrainerRun> runs;
  TaskFile pooled = TrainTask(demo, campaign, "pooled");
  pooled.training.steps *= static_cast<std::int64_t>(demo.sites.size());
  for (const DemoSite& site : demo.sites) pooled.data.push_back({site.name, site.train});
  const auto add = [&](const std::string& label, const TaskFile& task) -> Status {
    const std::string directory = demo.run + "/compare/" + task.task;
    TRIBUTARY_RETURN_IF_ERROR(PrepareTask(directory, task, initial, campaign.ToAdapterConfig()));
    runs.push_back({label, "train", directory});
    contenders->push_back(
        {label, directory + "/update/" + std::string(kAdapterWeightsFile), {}, 0});
    return OkStatus();
  };
  TRIBUTARY_RETURN_IF_ERROR(add("pooled", pooled));  // the longest first
  for (const DemoSite& site : demo.sites) {
    TaskFile alone = TrainTask(demo, campaign, "alone-" + site.name);
    alone.data.push_back({site.name, site.train});
    TRIBUTARY_RETURN_IF_ERROR(add(site.name + " alone", alone));
  }
  const Status status = RunTrainers(runs, kParallel, demo.Progress());
  demo.EndProgress();
  return status;
}

Status EvaluateAll(Demo& demo, const CampaignFile& campaign, std::vector<Contender>* contenders) {
  demo.Say("evaluation: held-out loss of each model on each field (about 30 s)");
  std::vector<TrainerRun> runs;
  for (std::size_t i = 0; i < contenders->size(); ++i) {
    TaskFile task;
    task.kind = TaskKind::kEvaluate;
    task.task = "evaluate-" + std::to_string(i);
    task.campaign = campaign.name;
    task.site = "demo";
    task.model_path = demo.base;
    for (const DemoSite& site : demo.sites) task.data.push_back({site.name, site.heldout});
    task.evaluation_batch_size = 32;
    task.threads = 1;
    const std::string directory = demo.run + "/compare/" + task.task;
    TRIBUTARY_RETURN_IF_ERROR(
        PrepareTask(directory, task, (*contenders)[i].adapter, campaign.ToAdapterConfig()));
    runs.push_back({"evaluating " + (*contenders)[i].label, "evaluate", directory});
  }
  const Status status = RunTrainers(runs, kParallel, demo.Progress());
  demo.EndProgress();
  TRIBUTARY_RETURN_IF_ERROR(status);
  for (std::size_t i = 0; i < contenders->size(); ++i) {
    Contender& contender = (*contenders)[i];
    TRIBUTARY_ASSIGN_OR_RETURN(const TaskResult result, ReadTrainerResult(runs[i].directory));
    for (const DemoSite& site : demo.sites) {
      const auto it = result.metrics.find("loss/" + site.name);
      if (it == result.metrics.end()) return InternalError("no loss for " + site.name);
      contender.loss[site.name] = it->second;
      contender.mean += it->second / static_cast<double>(demo.sites.size());
    }
  }
  return OkStatus();
}

std::string Table(const Demo& demo, const std::vector<Contender>& contenders) {
  char cell[64];
  std::snprintf(cell, sizeof cell, "%-24s", "held-out loss");
  std::string text = std::string("\n") + cell;
  for (const DemoSite& site : demo.sites) {
    std::snprintf(cell, sizeof cell, " %18s", site.name.c_str());
    text += cell;
  }
  text += "       mean\n";
  for (const Contender& c : contenders) {
    std::snprintf(cell, sizeof cell, "%-24s", c.label.c_str());
    text += cell;
    for (const DemoSite& site : demo.sites) {
      std::snprintf(cell, sizeof cell, " %18.4f", c.loss.at(site.name));
      text += cell;
    }
    std::snprintf(cell, sizeof cell, " %10.4f\n", c.mean);
    text += cell;
  }
  return text;
}

json ToJson(const Demo& demo, const std::vector<Contender>& contenders,
            const std::string& exported) {
  json models = json::array();
  for (const Contender& c : contenders) {
    models.push_back({{"model", c.label}, {"loss", c.loss}, {"mean_loss", c.mean}});
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - demo.began).count();
  return {
      {"models", models}, {"adapter", exported}, {"base_model", demo.base}, {"seconds", seconds}};
}

bool FederationWins(const std::vector<Contender>& contenders) {
  double federated = 0;
  double best_alone = 1e300;
  for (const Contender& c : contenders) {
    if (c.label == "federated") federated = c.mean;
    if (c.label.ends_with(" alone")) best_alone = std::min(best_alone, c.mean);
  }
  return federated < best_alone;
}

Status Run(Demo& demo, bool* federation_wins) {
  if (demo.options.directory.empty()) demo.options.directory = DefaultDirectory();
  if (demo.options.steps == 0) demo.options.steps = kDefaultSteps;
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(demo.options.directory));
  demo.run =
      JoinPath(demo.options.directory, "run-" + FormatTimestamp(SystemClock().Now()).substr(0, 19));
  std::replace(demo.run.begin(), demo.run.end(), ':', '-');
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(demo.run));
  demo.Say("everything is in " + demo.run);
  TRIBUTARY_RETURN_IF_ERROR(PrepareData(demo));
  TRIBUTARY_RETURN_IF_ERROR(PretrainBase(demo));

  const CampaignFile campaign = CampaignOf(demo);
  const std::string exported = demo.run + "/adapter";
  TRIBUTARY_RETURN_IF_ERROR(Federate(demo, campaign, exported));

  const std::string initial = demo.run + "/initial.safetensors";
  TRIBUTARY_RETURN_IF_ERROR(WriteInitialAdapter(campaign, "/", initial).status());
  std::vector<Contender> contenders = {{"base", initial, {}, 0}};
  TRIBUTARY_RETURN_IF_ERROR(TrainForComparison(demo, campaign, initial, &contenders));
  // Shown as: base, each site alone, federated, pooled (the bound).
  std::rotate(contenders.begin() + 1, contenders.begin() + 2, contenders.end());
  contenders.insert(contenders.end() - 1,
                    {"federated", JoinPath(exported, kAdapterWeightsFile), {}, 0});
  TRIBUTARY_RETURN_IF_ERROR(EvaluateAll(demo, campaign, &contenders));
  *federation_wins = FederationWins(contenders);
  if (demo.quiet) {
    PrintJson(ToJson(demo, contenders, exported));
    return OkStatus();
  }
  PrintLine(Table(demo, contenders));
  PrintLine(
      *federation_wins
          ? "The federated model beats every site that stays alone, on the mean of the fields."
          : "The federated model does not beat every site that stays alone.");
  PrintLine("adapter (load it with PEFT over " + demo.base + "):\n  " + exported);
  demo.Say("done");
  return OkStatus();
}

}  // namespace

void AddDemoOptions(CLI::App& command, DemoOptions* options) {
  command.add_option("--dir", options->directory,
                     "data, base model and runs (default: ~/.cache/tributary/demo)");
  command.add_option("--wordnet", options->wordnet, "WordNet's data files")->capture_default_str();
  command.add_option("--rounds", options->rounds)
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command.add_option("--steps", options->steps, "optimizer steps per round and site")
      ->check(CLI::Range(1, 100000));
  command.add_option("--seed", options->seed)->capture_default_str();
  command
      .add_option("--base-steps", options->base_steps,
                  "pretraining steps of the base model; fewer are faster and worse")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000));
  command.add_flag("--fresh-base", options->fresh_base, "pretrain the base model again");
}

int DemoCommand(const GlobalOptions& options, const DemoOptions& demo_options) {
  Demo demo;
  demo.options = demo_options;
  demo.quiet = options.json;
  bool federation_wins = false;
  const Status status = Run(demo, &federation_wins);
  if (!status.ok()) return Fail(status, options.json);
  return federation_wins ? kExitOk : kExitFailed;
}

}  // namespace tributary::cli
