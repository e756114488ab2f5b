#include "core/campaign_file.h"
#include "tests/core/config_sample.h"
#include "tests/fuzz/fuzz_targets.h"

namespace tributary {

void FuzzYaml(std::string_view bytes) {
  Require(LoadSampleRoundTrips(bytes), "a configuration that loads prints to text that loads");
  CampaignFile file;
  if (!LoadYaml(bytes, "input", &file).ok()) return;
  CampaignFile again;
  const std::string printed = PrintYaml(file);
  Require(LoadYaml(printed, "printed", &again).ok() && PrintYaml(again) == printed,
          "a campaign file that loads prints to text that loads");
}

std::vector<std::string> YamlSeeds() {
  SampleConfig sample;
  sample.sites = {{"a", 2, {{"k", "v"}}}};
  sample.machines = {{"m", {"b", 1, {}}}};
  sample.limit = 3;
  sample.evaluation.emplace();
  return {"",
          "{}",
          PrintYaml(sample),
          "listen: \"[::]:1\"\nmemory: 64KiB\npoll: 250ms\nrounds: {quorum: 3, deadline: 1h}\n",
          "sites:\n  - {name: a, labels: {x: y}}\n  - name: b\n    weight: 0x10\n",
          "quorumm: 1\n",
          "a: &x 1\nb: *x\n",
          "a: !!binary aGk=\n",
          "scale: .nan\nretries: 1e3\nverbose: yes\n",
          "---\na: 1\n---\nb: 2\n",
          "listen: |\n  text\n  more\n",
          "paths: [a, 'b', \"\\u00e9\\0\"]\n",
          std::string(40, '['),
          "name: c\nmodel: {name: base}\ndata: {train: t, evaluate: [h]}\nsites: [a, b]\n"
          "pacing: {rounds: 2, quorum: 1, deadline: 10m}\nadapter: {rank: 4, alpha: 8}\n"};
}

}  // namespace tributary
