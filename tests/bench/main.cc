// tributary-bench: speed and memory, as JSON.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "core/child_process.h"
#include "core/log.h"
#include "security/grpc_credentials.h"
#include "tests/bench/aggregate_benchmark.h"
#include "tests/bench/engine_benchmark.h"
#include "tests/bench/listing_benchmark.h"
#include "tests/bench/low_rank_benchmark.h"
#include "tests/bench/pilot_benchmark.h"
#include "tests/bench/round_benchmark.h"
#include "tests/bench/train_benchmark.h"

int main(int argc, char** argv) {
  tributary::security::RequireTls13();
  tributary::LogOptions log;
  log.level = "error";
  if (!tributary::StartLogging(log).ok()) return 1;
  CLI::App app("tributary-bench: speed and memory, as JSON");
  app.require_subcommand(1);
  tributary::bench::RoundOptions round;
  round.server_program = tributary::ProgramDirectory() + "/tributary-server";
  CLI::App* command = app.add_subcommand("round", "what a round costs when training costs nothing");
  command->add_option("--sites", round.sites)->check(CLI::Range(1, 4096))->capture_default_str();
  command->add_option("--params", round.params)->check(CLI::PositiveNumber)->capture_default_str();
  command->add_option("--tensors", round.tensors)
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--rounds", round.rounds)->check(CLI::PositiveNumber)->capture_default_str();
  command->add_option("--server", round.server_program, "path of tributary-server");
  tributary::bench::ListingOptions listing;
  CLI::App* list =
      app.add_subcommand("listing", "what it costs to read a scheduler's listing of many jobs");
  list->add_option("--jobs", listing.jobs)
      ->check(CLI::Range(10, 10'000'000))
      ->capture_default_str();
  tributary::bench::EngineOptions engine;
  CLI::App* history = app.add_subcommand("engine", "what a long history costs the campaign engine");
  for (const auto& [name, value] :
       {std::pair("--rounds", &engine.rounds), {"--sites", &engine.sites}}) {
    history->add_option(name, *value)->check(CLI::Range(1, 10'000))->capture_default_str();
  }
  history->add_option("--start-only", engine.directory, "measures a start with this directory")
      ->check(CLI::ExistingDirectory);
  tributary::bench::AggregateOptions aggregate;
  CLI::App* fold =
      app.add_subcommand("aggregate", "what it costs to fold a round of large updates");
  fold->add_option("--sites", aggregate.sites)->check(CLI::Range(7, 4096))->capture_default_str();
  fold->add_option("--parameters", aggregate.parameters)
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  fold->add_option("--fold", aggregate.fold,
                   "instead: one fold by this strategy, for a run under a limit of memory");
  fold->add_option("--directory", aggregate.directory, "for the files")
      ->check(CLI::ExistingDirectory);
  tributary::bench::PilotBenchOptions pilot;
  pilot.client_program = tributary::ProgramDirectory() + "/tributary-client";
  CLI::App* pilots = app.add_subcommand(
      "pilot", "a job for each round against pilots, on a real Slurm cluster with waiting jobs");
  for (const auto& [name, value] : {std::pair("--rounds", &pilot.rounds),
                                    {"--wait", &pilot.wait_seconds},
                                    {"--task", &pilot.task_seconds},
                                    {"--think", &pilot.think_seconds},
                                    {"--idle-timeout", &pilot.idle_timeout}}) {
    pilots->add_option(name, *value)->check(CLI::Range(0, 3600))->capture_default_str();
  }
  pilots->add_option("--client", pilot.client_program, "path of tributary-client");
  tributary::bench::LowRankOptions low_rank;
  bool low_rank_wanted = false;
  fold->add_flag("--low-rank", low_rank_wanted,
                 "instead: LoRA factors of a 7B model, of mixed ranks");
  fold->add_option("--strategy", low_rank.strategy, "with --low-rank")->capture_default_str();
  fold->add_option("--ranks", low_rank.ranks, "with --low-rank: one for each site")
      ->capture_default_str();
  for (const auto& [name, value] : {std::pair("--layers", &low_rank.layers),
                                    {"--size", &low_rank.size},
                                    {"--low-rank-threads", &low_rank.threads},
                                    {"--dense-size", &low_rank.dense_size}}) {
    fold->add_option(name, *value, "with --low-rank")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
  }
  tributary::bench::TrainOptions train;
  train.trainer_program = tributary::ProgramDirectory() + "/tributary-trainer";
  CLI::App* training =
      app.add_subcommand("train", "the native trainer against PyTorch with PEFT on the same work");
  training->add_option("--model", train.model)
      ->check(CLI::IsMember({"15m", "110m"}))
      ->capture_default_str();
  for (const auto& [name, value] : {std::pair("--steps", &train.steps),
                                    {"--batch-size", &train.batch_size},
                                    {"--sequence-length", &train.sequence_length},
                                    {"--threads", &train.threads}}) {
    training->add_option(name, *value)->check(CLI::Range(1, 100'000))->capture_default_str();
  }
  training->add_flag("--gradient-checkpointing", train.gradient_checkpointing);
  training->add_option("--base-precision", train.base_precision)
      ->check(CLI::IsMember({"fp32", "stored", "int8"}))
      ->capture_default_str();
  training->add_option("--trainer", train.trainer_program, "path of tributary-trainer");
  training->add_option("--peft", train.peft_command,
                       "the other trainer: python3 configs/trainers/peft/tributary_peft.py");
  CLI11_PARSE(app, argc, argv);
  const auto result = training->parsed()  ? tributary::bench::RunTrainBenchmark(train)
                      : list->parsed()    ? tributary::bench::RunListingBenchmark(listing)
                      : history->parsed() ? tributary::bench::RunEngineBenchmark(engine)
                      : low_rank_wanted   ? tributary::bench::RunLowRankBenchmark(low_rank)
                      : fold->parsed()    ? tributary::bench::RunAggregateBenchmark(aggregate)
                      : pilots->parsed()  ? tributary::bench::RunPilotBenchmark(pilot)
                                          : tributary::bench::RunRoundBenchmark(round);
  if (!result.ok()) {
    std::fprintf(stderr, "tributary-bench: %s\n", result.status().message().c_str());
    return 1;
  }
  std::printf("%s\n", result->c_str());
  return 0;
}
