// tributary-bench: speed and memory, as JSON.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/child_process.h"
#include "core/log.h"
#include "security/grpc_credentials.h"
#include "tests/bench/round_benchmark.h"

int main(int argc, char** argv) {
  tributary::security::RequireTls13();
  tributary::LogOptions log;
  log.level = "error";
  if (!tributary::StartLogging(log).ok()) return 1;
  CLI::App app("tributary-bench: speed and memory, as JSON");
  app.require_subcommand(1);
  tributary::bench::RoundOptions round;
  round.server_program = tributary::cli::ProgramDirectory() + "/tributary-server";
  CLI::App* command = app.add_subcommand("round", "what a round costs when training costs nothing");
  command->add_option("--sites", round.sites)->check(CLI::Range(1, 4096))->capture_default_str();
  command->add_option("--params", round.params)->check(CLI::PositiveNumber)->capture_default_str();
  command->add_option("--tensors", round.tensors)
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--rounds", round.rounds)->check(CLI::PositiveNumber)->capture_default_str();
  command->add_option("--server", round.server_program, "path of tributary-server");
  CLI11_PARSE(app, argc, argv);
  const auto result = tributary::bench::RunRoundBenchmark(round);
  if (!result.ok()) {
    std::fprintf(stderr, "tributary-bench: %s\n", result.status().message().c_str());
    return 1;
  }
  std::printf("%s\n", result->c_str());
  return 0;
}
