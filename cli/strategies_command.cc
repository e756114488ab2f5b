#include "cli/strategies_command.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "aggregators/aggregator.h"
#include "cli/output.h"

namespace tributary::cli {
namespace {

using aggregators::Capabilities;
using aggregators::Needs;
using aggregators::OptionSpec;
using aggregators::Strategy;
using nlohmann::json;

std::string_view NeedsName(Needs needs) {
  switch (needs) {
    case Needs::kSum:
      return "sum";
    case Needs::kCoordinate:
      return "coordinates";
    case Needs::kGeometry:
      return "geometry";
    case Needs::kFactors:
      break;
  }
  return "factors";
}

// The capabilities that a person looks for, in a fixed order.
std::vector<std::string> Marks(const Capabilities& can) {
  std::vector<std::string> marks;
  const auto add = [&](bool has, const char* mark) {
    if (has) marks.emplace_back(mark);
  };
  add(can.lora_only, "lora");
  add(can.mixed_ranks, "mixed-ranks");
  add(can.equal_ranks_exact, "exact");
  add(can.secure_sum, "secure-sum");
  add(can.asynchronous, "async");
  add(can.site_state, "site-state");
  add(can.personalised, "personalised");
  add(!can.uses_weights, "unweighted");
  if (can.min_sites > 1) marks.push_back(">=" + std::to_string(can.min_sites) + " sites");
  return marks;
}

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

json ToJson(const OptionSpec& option) {
  json object = {{"name", option.name}, {"meaning", option.meaning}};
  if (option.text) {
    object["default"] = "";
  } else if (!option.words.empty()) {
    object["default"] = option.words[static_cast<std::size_t>(option.fallback)];
    object["words"] = option.words;
  } else {
    object["default"] = option.fallback;
    object["least"] = option.least;
    object["most"] = option.most;
  }
  return object;
}

json ToJson(const Strategy& strategy) {
  const Capabilities& can = strategy.capabilities;
  json object = {{"kind", strategy.kind},
                 {"family", strategy.family},
                 {"summary", strategy.summary},
                 {"paper", strategy.paper},
                 {"experimental", strategy.experimental},
                 {"capabilities",
                  {{"needs", NeedsName(can.needs)},
                   {"secure_sum", can.secure_sum},
                   {"site_privacy", can.site_privacy},
                   {"lossy_compression", can.lossy_compression},
                   {"mixed_ranks", can.mixed_ranks},
                   {"lora_only", can.lora_only},
                   {"asynchronous", can.asynchronous},
                   {"site_state", can.site_state},
                   {"personalised", can.personalised},
                   {"uses_weights", can.uses_weights},
                   {"exact", can.equal_ranks_exact},
                   {"min_sites", can.min_sites}}},
                 {"options", json::array()}};
  for (const OptionSpec& option : strategy.options) object["options"].push_back(ToJson(option));
  return object;
}

std::string Allowed(const OptionSpec& option) {
  if (option.text) return "a name";
  std::string text;
  for (const std::string_view word : option.words) {
    text += (text.empty() ? "" : " | ") + std::string(word);
  }
  if (!text.empty()) return text;
  return json(option.least).dump() + " to " + json(option.most).dump();
}

void PrintOne(const Strategy& strategy) {
  std::printf("%s: %s\n", std::string(strategy.kind).c_str(),
              std::string(strategy.summary).c_str());
  std::printf("  paper    %s\n", std::string(strategy.paper).c_str());
  std::printf("  family   %s%s\n", std::string(strategy.family).c_str(),
              strategy.experimental ? ", experimental" : "");
  std::printf("  can      %s\n", Joined(Marks(strategy.capabilities)).c_str());
  for (const OptionSpec& option : strategy.options) {
    const json described = ToJson(option);
    const json& value = described["default"];
    std::printf("  options.%-22s %s (%s; default %s)\n", std::string(option.name).c_str(),
                std::string(option.meaning).c_str(), Allowed(option).c_str(),
                value.is_string() ? value.get<std::string>().c_str() : value.dump().c_str());
  }
}

void PrintTable() {
  std::string_view family;
  for (const Strategy* strategy : aggregators::Strategies()) {
    if (strategy->family != family) {
      family = strategy->family;
      std::printf("%s%s\n", strategy == aggregators::Strategies().front() ? "" : "\n",
                  std::string(family).c_str());
    }
    std::printf("  %-18s %s\n", std::string(strategy->kind).c_str(),
                std::string(strategy->summary).c_str());
    std::printf("  %-18s   [%s] %s%s\n", "", Joined(Marks(strategy->capabilities)).c_str(),
                std::string(strategy->paper).c_str(),
                strategy->experimental ? " (experimental)" : "");
  }
}

}  // namespace

int StrategiesCommand(const StrategiesOptions& options) {
  std::vector<const Strategy*> chosen(aggregators::Strategies().begin(),
                                      aggregators::Strategies().end());
  if (!options.kind.empty()) {
    const auto found = aggregators::FindStrategy(options.kind);
    if (!found.ok()) return Fail(found.status(), options.json);
    chosen = {*found};
  }
  if (options.json) {
    json list = json::array();
    for (const Strategy* strategy : chosen) list.push_back(ToJson(*strategy));
    PrintJson(list);
  } else if (options.kind.empty()) {
    PrintTable();
  } else {
    PrintOne(*chosen.front());
  }
  return 0;
}

}  // namespace tributary::cli
