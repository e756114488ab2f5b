#include "cli/demo.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/campaign_commands.h"
#include "cli/demo_comparison.h"
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

constexpr std::int64_t kRank = 8;

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
  demo.sites.front().trainer = demo.options.trainer;
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
  file.name = kDemoCampaign;
  file.model = {"wordnet-base", demo.base};
  file.adapter.rank = kRank;
  if (!demo.options.ranks.empty()) {
    file.adapter.rank = *std::max_element(demo.options.ranks.begin(), demo.options.ranks.end());
    for (std::size_t i = 0; i < demo.sites.size(); ++i) {
      const std::int64_t rank = demo.options.ranks[i];
      if (rank < file.adapter.rank) file.adapter.site_ranks[demo.sites[i].name] = rank;
    }
  }
  file.adapter.alpha = 2 * static_cast<double>(file.adapter.rank);
  file.adapter.target_modules = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                 "gate_proj", "up_proj", "down_proj"};
  if (!demo.options.initial.empty()) {
    file.adapter.initial = std::filesystem::absolute(demo.options.initial);
  }
  file.data.train = "field";
  file.data.evaluate = {"field-heldout"};
  for (const DemoSite& site : demo.sites) file.sites.push_back(site.name);
  file.pacing.rounds = demo.options.rounds;
  file.training.steps = demo.options.steps;
  file.training.batch_size = 16;
  file.training.sequence_length = 96;
  file.training.learning_rate = demo.options.learning_rate;
  file.evaluation.batch_size = 32;
  file.evaluation.max_examples = 200;
  file.walltime = std::chrono::seconds(1800);
  file.seed = demo.options.seed;
  return file;
}

// One campaign for each strategy.
std::vector<CampaignFile> CampaignsOf(const Demo& demo) {
  CampaignFile file = CampaignOf(demo);
  if (demo.options.strategies.empty()) return {file};
  std::vector<CampaignFile> files;
  for (const std::string& kind : demo.options.strategies) {
    file.name = std::string(kDemoCampaign) + "-" + kind;
    file.aggregator.kind = kind;
    file.adapter.middle = kind == "fed-sb";
    files.push_back(file);
  }
  return files;
}

// Runs one campaign to its end and exports what it made.
Status RunCampaign(const Demo& demo, DemoFederation& federation, const CampaignFile& campaign,
                   const std::string& exported) {
  const std::string file = demo.run + "/" + campaign.name + ".yaml";
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

// One campaign after the other in one federation.
Result<std::vector<Contender>> Federate(const Demo& demo,
                                        const std::vector<CampaignFile>& campaigns) {
  const CampaignFile& first = campaigns.front();
  demo.Say("federation: server and three sites over mutual TLS, " +
           std::to_string(first.pacing.rounds) + " rounds of LoRA, " +
           std::to_string(first.training.steps) + " steps each (about 1 min)");
  TRIBUTARY_ASSIGN_OR_RETURN(
      DemoFederation federation,
      DemoFederation::Start(demo.run + "/federation", demo.base, demo.sites));
  demo.Say("  logs: " + demo.run + "/federation/server/server.log, .../sites/*/client.log");
  std::vector<Contender> contenders;
  for (const CampaignFile& campaign : campaigns) {
    const bool alone = campaigns.size() == 1;
    if (!alone) demo.Say("strategy " + campaign.aggregator.kind);
    const std::string exported = demo.run + (alone ? "/adapter" : "/" + campaign.name);
    TRIBUTARY_RETURN_IF_ERROR(RunCampaign(demo, federation, campaign, exported));
    // What was merged makes the exported rank higher than the campaign's.
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string config,
                               ReadFile(JoinPath(exported, kAdapterConfigFile)));
    TRIBUTARY_ASSIGN_OR_RETURN(AdapterConfig adapter, AdapterConfig::FromPeftJson(config));
    contenders.push_back({Contender::Kind::kFederated,
                          "federated" + (alone ? "" : ", " + campaign.aggregator.kind),
                          JoinPath(exported, kAdapterWeightsFile), std::move(adapter)});
  }
  return contenders;
}

void Report(const Demo& demo, const std::vector<Contender>& contenders, const std::string& adapter,
            bool federation_wins) {
  if (demo.quiet) {
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - demo.began).count();
    PrintJson({{"models", ToJson(contenders)},
               {"adapter", adapter},
               {"base_model", demo.base},
               {"seconds", seconds}});
    return;
  }
  PrintLine(Table(demo.sites, contenders));
  PrintLine(
      federation_wins
          ? "The federated model beats every site that stays alone, on the mean of the fields."
          : "The federated model does not beat every site that stays alone.");
  PrintLine("adapter (load it with PEFT over " + demo.base + "):\n  " + adapter);
  demo.Say("done");
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

  const std::vector<CampaignFile> campaigns = CampaignsOf(demo);
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<Contender> federated, Federate(demo, campaigns));

  const Comparison comparison{demo.run + "/compare", demo.base, demo.sites, kParallel,
                              demo.Progress()};
  const std::string initial = demo.run + "/initial.safetensors";
  const CampaignFile plain = CampaignOf(demo);
  TRIBUTARY_RETURN_IF_ERROR(WriteInitialAdapter(plain, "/", initial).status());
  demo.Say("comparison: each site alone, and all data pooled, with the same steps (about 2 min)");
  auto contenders = TrainApart(comparison, plain, initial);
  demo.EndProgress();
  if (!contenders.ok()) return contenders.status();
  contenders->insert(contenders->begin(),
                     {Contender::Kind::kBase, "base", initial, plain.ToAdapterConfig()});
  contenders->insert(contenders->end(), federated.begin(), federated.end());
  std::stable_sort(contenders->begin(), contenders->end(),
                   [](const Contender& x, const Contender& y) { return x.kind < y.kind; });
  demo.Say("evaluation: held-out loss of each model on each field (about 30 s)");
  const Status evaluated = EvaluateAll(comparison, &*contenders);
  demo.EndProgress();
  TRIBUTARY_RETURN_IF_ERROR(evaluated);
  *federation_wins = FederationWins(*contenders);
  Report(demo, *contenders, DirectoryOf(federated.front().weights), *federation_wins);
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
  command
      .add_option("--learning-rate", options->learning_rate,
                  "next to 0: hardly anybody learns, to see what the strategy itself does")
      ->capture_default_str()
      ->check(CLI::Range(1e-12, 1.0));
  command.add_option("--seed", options->seed)->capture_default_str();
  command.add_option("--initial", options->initial,
                     "adapter to start from, as a run leaves it in its directory");
  command
      .add_option("--strategy", options->strategies,
                  "aggregation strategies to compare, each in a campaign of its own; \"tributary "
                  "strategies\" lists them (default: fedavg)")
      ->delimiter(',');
  command.add_option("--trainer", options->trainer,
                     "what the first site trains with instead of tributary-trainer, as a command");
  command.add_option("--ranks", options->ranks, "LoRA ranks of the three sites, as in 4,8,16")
      ->delimiter(',')
      ->expected(3)
      ->check(CLI::Range(1, 128));
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
