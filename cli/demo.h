// `tributary demo`: a real federation of three sites on this machine, fine-tuning a small language
// model on WordNet.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/session.h"

namespace CLI {
class App;
}

namespace tributary::cli {

struct DemoOptions {
  std::string directory;  // empty: $XDG_CACHE_HOME/tributary/demo
  std::string wordnet = "/usr/share/wordnet";
  std::int64_t rounds = 5;
  std::int64_t steps = 0;  // per round and site; 0: the demonstration's own choice
  double learning_rate = 3e-3;
  std::int64_t seed = 1;
  std::string initial;                  // directory of an adapter to start from
  std::int64_t base_steps = 2500;       // of pretraining
  bool fresh_base = false;              // pretrain again
  std::vector<std::string> strategies;  // one campaign each; empty: one, with the default
  std::vector<std::string> trainer;     // the first site's; empty: as the others
  std::vector<std::int64_t> ranks;      // of the sites; empty: all the same
};

void AddDemoOptions(CLI::App& command, DemoOptions* options);
int DemoCommand(const GlobalOptions& options, const DemoOptions& demo);

}  // namespace tributary::cli
