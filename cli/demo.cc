#include "cli/demo.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/campaign_commands.h"
#include "cli/demo_comparison.h"
#include "cli/demo_federation.h"
#include "cli/demo_model.h"
#include "cli/demo_output.h"
#include "cli/demo_plan.h"
#include "cli/demo_samples.h"
#include "cli/demo_training.h"
#include "cli/initial_adapter.h"
#include "cli/output.h"
#include "cli/watch_command.h"
#include "cli/watch_view.h"
#include "cli/wordnet.h"
#include "core/config.h"
#include "core/count_text.h"
#include "core/files.h"
#include "core/interruption.h"

namespace tributary::cli {
namespace {

using nlohmann::json;

constexpr int kParallel = 2;

struct Demo {
  DemoPlan plan;
  DemoOutput& output;

  TrainerPool Trainers() const {
    return {kParallel, output.Listener(), [] { return !Interrupted(); }};
  }
};

// What cannot work is refused before anything is downloaded or trained.
Status CheckCampaigns(const DemoFederation& federation,
                      const std::vector<CampaignFile>& campaigns) {
  for (const CampaignFile& campaign : campaigns) {
    TRIBUTARY_RETURN_IF_ERROR(federation.Validate(campaign));
  }
  return OkStatus();
}

// The adapters they start from can be made for the model.
Status CheckAdapters(const DemoPlan& plan) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string shapes, ModelShapes(plan));
  for (CampaignFile campaign : PlannedCampaigns(plan)) {
    campaign.model.config = shapes;
    TRIBUTARY_RETURN_IF_ERROR(WriteInitialAdapter(campaign, "/", plan.run + "/checked.safetensors")
                                  .Annotate(campaign.name)
                                  .status());
  }
  return OkStatus();
}

Status PrepareData(const Demo& demo) {
  demo.output.Say("data: WordNet's definitions, by field of knowledge (about 5 s)");
  TRIBUTARY_ASSIGN_OR_RETURN(const WordNetCorpus corpus,
                             LoadWordNet(demo.plan.options.wordnet)
                                 .Annotate("Debian's package wordnet-base has the data"));
  return WriteWordNetData(corpus, demo.plan.data);
}

// Runs one campaign to its end and exports what it made.
Status RunCampaign(const Demo& demo, DemoFederation& federation, const CampaignFile& campaign,
                   const std::string& exported) {
  const std::string file = demo.plan.run + "/" + campaign.name + ".yaml";
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(file, PrintYaml(campaign)));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string id, SubmitFile(federation.lead(), file));
  WatchPrinter printer(OutputIsTerminal());
  Status alive;
  const auto last = FollowCampaign(
      federation.lead(), id,
      [&](const v1::CampaignStatus& status) {
        if (!demo.output.quiet()) printer.Show(status);
      },
      [&] {
        alive = federation.CheckAlive();
        return alive.ok() && !Interrupted();
      });
  TRIBUTARY_RETURN_IF_ERROR(alive);
  if (!last.ok()) return last.status();
  if (last->phase() != "completed") return AbortedError("the campaign ended as " + last->phase());
  return ExportAdapter(federation.lead(), {id, exported, -1, demo.plan.model_directory, true})
      .status();
}

// One campaign after the other in one federation, which ends then.
Result<std::vector<Contender>> Federate(const Demo& demo, DemoFederation federation,
                                        const std::vector<CampaignFile>& campaigns) {
  const DemoPlan& plan = demo.plan;
  demo.output.Say("federation: server and three sites over mutual TLS, " +
                  CountText(plan.rounds, "round") + " of LoRA, " + CountText(plan.steps, "step") +
                  " each");
  TRIBUTARY_RETURN_IF_ERROR(federation.StartSites({plan.model_name, plan.model_directory}));
  demo.output.Say("  logs: " + plan.run + "/federation/server/server.log, .../sites/*/client.log");
  std::vector<Contender> contenders;
  for (const CampaignFile& campaign : campaigns) {
    const bool alone = campaigns.size() == 1;
    if (!alone) demo.output.Say("strategy " + campaign.aggregator.kind);
    const std::string exported = plan.run + (alone ? "/adapter" : "/" + campaign.name);
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

// The base, each site alone, the pool; with the federated models, by their held-out losses.
Result<std::vector<Contender>> Compare(const Demo& demo, std::vector<Contender> federated) {
  const DemoPlan& plan = demo.plan;
  const Comparison comparison{plan.run + "/compare", plan.model_directory, plan.sites,
                              demo.Trainers(), plan.evaluation_examples};
  const std::string initial = plan.run + "/initial.safetensors";
  const CampaignFile plain = PlainCampaign(plan);
  TRIBUTARY_RETURN_IF_ERROR(WriteInitialAdapter(plain, "/", initial).status());
  demo.output.Say("comparison: each site alone, and all data pooled, with the same steps");
  TRIBUTARY_ASSIGN_OR_RETURN(std::vector<Contender> contenders,
                             TrainApart(comparison, plain, initial));
  contenders.insert(contenders.begin(),
                    {Contender::Kind::kBase, "base", initial, plain.ToAdapterConfig()});
  std::move(federated.begin(), federated.end(), std::back_inserter(contenders));
  std::stable_sort(contenders.begin(), contenders.end(),
                   [](const Contender& x, const Contender& y) { return x.kind < y.kind; });
  demo.output.Say("evaluation: held-out loss of each model on each field");
  TRIBUTARY_RETURN_IF_ERROR(EvaluateAll(comparison, &contenders));
  return contenders;
}

void Report(const Demo& demo, const std::vector<Contender>& contenders,
            const std::vector<Sample>& samples, const std::string& adapter) {
  const DemoPlan& plan = demo.plan;
  demo.output.EndProgress();
  const bool wins = FederationWins(contenders);
  const std::uint64_t memory = LargestTrainerBytes();
  if (demo.output.quiet()) {
    PrintJson({{"models", ToJson(contenders)},
               {"adapter", adapter},
               {"base_model", plan.model_directory},
               {"seconds", demo.output.Seconds()},
               {"federation_wins", wins},
               {"samples", ToJson(samples)},
               {"largest_trainer_bytes", memory}});
    return;
  }
  PrintLine(Table(plan.sites, contenders));
  PrintLine(
      wins ? "The federated model beats every site that stays alone, on the mean of the fields."
           : "The federated model does not beat every site that stays alone. All parts ran; "
             "training this short, or a base this young, may not tell.");
  PrintLine("\n" + SamplesText(samples));
  PrintLine("adapter (load it with PEFT over " + plan.model_directory + "):\n  " + adapter);
  PrintLine("memory: the largest trainer took " + BytesText(memory) +
            "; the federation runs one for each site at a time");
  demo.output.Say("done");
}

Status Run(Demo& demo) {
  DemoPlan& plan = demo.plan;
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(plan.run));
  demo.output.Say("everything is in " + plan.run + " (" + plan.duration + ")");
  TRIBUTARY_ASSIGN_OR_RETURN(DemoFederation federation,
                             DemoFederation::Start(plan.run + "/federation", plan.sites));
  TRIBUTARY_RETURN_IF_ERROR(CheckCampaigns(federation, PlannedCampaigns(plan)));
  TRIBUTARY_RETURN_IF_ERROR(PrepareModel(demo.output, &plan));
  NoteInterruption();  // until here the signal may end everything as it stands
  TRIBUTARY_RETURN_IF_ERROR(CheckAdapters(plan));
  TRIBUTARY_RETURN_IF_ERROR(PrepareData(demo));
  if (plan.model == DemoModel::kMadeUp) {
    TRIBUTARY_RETURN_IF_ERROR(PretrainBase(demo.output, plan, demo.Trainers()));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<Contender> federated,
                             Federate(demo, std::move(federation), PlannedCampaigns(plan)));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<Contender> contenders, Compare(demo, federated));
  const std::string adapter = DirectoryOf(federated.front().weights);
  demo.output.Say("samples: a word of each field, before and after");
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<Sample> samples,
                             WriteSamples(plan, adapter, demo.Trainers()));
  Report(demo, contenders, samples, adapter);
  return OkStatus();
}

// For a person who pressed Ctrl-C.
Status WhereToGoOn(const DemoPlan& plan) {
  std::string text = "interrupted; no process of this demonstration is left. ";
  if (plan.model == DemoModel::kMadeUp && PathExists(BaseWork(plan))) {
    text += "The same command goes on with the base model where it was";
  } else {
    text += "The same command starts the federation again; data and base model are kept in " +
            plan.directory;
  }
  return CancelledError(text);
}

}  // namespace

void AddDemoOptions(CLI::App& command, DemoOptions* options) {
  command.add_option("--dir", options->directory,
                     "data, base model and runs (default: ~/.cache/tributary/demo)");
  command.add_option("--wordnet", options->wordnet, "WordNet's data files")->capture_default_str();
  CLI::Option* model = command.add_option(
      "--model", options->model,
      "smollm2, which the Python package index has, or a model directory (default: a small Llama "
      "that is pretrained here)");
  command.add_option("--rounds", options->rounds, "(default: 5; 2 with --model)")
      ->check(CLI::Range(1, 1000));
  command
      .add_option("--steps", options->steps,
                  "optimizer steps per round and site (default: 40; 10 with --model)")
      ->check(CLI::Range(1, 100000));
  command
      .add_option(
          "--learning-rate", options->learning_rate,
          "next to 0: hardly anybody learns, to see what the strategy itself does (default: "
          "0.003; 0.001 with --model)")
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
      ->check(CLI::Range(1, 1000000))
      ->excludes(model);
  command.add_flag("--fresh-base", options->fresh_base, "pretrain the base model again")
      ->excludes(model);
}

int DemoCommand(const GlobalOptions& options, const DemoOptions& demo_options) {
  const auto plan = MakeDemoPlan(demo_options);
  if (!plan.ok()) return Fail(plan.status(), options.json);
  DemoOutput output(options.json);
  Demo demo{*plan, output};
  const Status status = Run(demo);
  if (status.ok()) return kExitOk;
  output.EndProgress();
  if (!Interrupted()) return Fail(status, options.json);
  Fail(WhereToGoOn(demo.plan), options.json);
  return kExitInterrupted;
}

}  // namespace tributary::cli
