#include "tests/fuzz/fuzz_targets.h"

#include <array>
#include <cstdio>
#include <cstdlib>

namespace tributary {

std::span<const FuzzTarget> FuzzTargets() {
  static constexpr std::array<FuzzTarget, 9> kTargets = {{
      {"assignment", FuzzAssignment, AssignmentSeeds},
      {"json", FuzzJson, JsonSeeds},
      {"pbs", FuzzPbs, PbsSeeds},
      {"safetensors", FuzzSafetensors, SafetensorsSeeds},
      {"site_message", FuzzSiteMessage, SiteMessageSeeds},
      {"slurm", FuzzSlurm, SlurmSeeds},
      {"statement", FuzzStatement, StatementSeeds},
      {"tokenizer", FuzzTokenizer, TokenizerSeeds},
      {"yaml", FuzzYaml, YamlSeeds},
  }};
  return kTargets;
}

const FuzzTarget* FindFuzzTarget(std::string_view name) {
  for (const FuzzTarget& target : FuzzTargets()) {
    if (target.name == name) return &target;
  }
  return nullptr;
}

void Require(bool promise, std::string_view what) {
  if (promise) return;
  std::fprintf(stderr, "broken promise: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

}  // namespace tributary
