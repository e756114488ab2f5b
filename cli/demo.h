// `tributary demo`: a real federation of three sites on this machine, fine-tuning a language model
// on WordNet.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/session.h"

namespace CLI {
class App;
}

namespace tributary::cli {

// 0 or empty: as the model asks for (demo_plan.h).
struct DemoOptions {
  std::string directory;  // empty: $XDG_CACHE_HOME/tributary/demo
  std::string wordnet = "/usr/share/wordnet";
  std::string model;  // empty: made up and pretrained here; smollm2; or a model directory
  std::int64_t rounds = 0;
  std::int64_t steps = 0;  // per round and site
  double learning_rate = 0;
  std::int64_t seed = 1;
  std::string initial;                  // directory of an adapter to start from
  std::int64_t base_steps = 1000;       // of pretraining
  bool fresh_base = false;              // pretrain again
  std::vector<std::string> strategies;  // one campaign each; empty: one, with the default
  std::vector<std::string> trainer;     // the first site's; empty: as the others
  std::vector<std::int64_t> ranks;      // of the sites; empty: all the same
};

void AddDemoOptions(CLI::App& command, DemoOptions* options);

// 0 when everything ran, whoever won; 130 when it was interrupted: then no process of it is left.
int DemoCommand(const GlobalOptions& options, const DemoOptions& demo);

}  // namespace tributary::cli
