#include "aggregators/aggregator.h"

#include <array>

#include "aggregators/fed_avg.h"
#include "core/text.h"

namespace tributary::aggregators {
namespace {

using Factory = std::unique_ptr<Aggregator> (*)(const AggregatorSection&);

struct Row {
  AggregatorInfo info;
  Factory make;
};

constexpr std::array<Row, 1> kAggregators = {{
    {{"fedavg", "weighted mean of the updates (arXiv:1602.05629)"}, MakeFedAvg},
}};

}  // namespace

Result<std::unique_ptr<Aggregator>> MakeAggregator(const AggregatorSection& section) {
  std::vector<std::string> names;
  for (const Row& row : kAggregators) {
    if (row.info.kind == section.kind) return row.make(section);
    names.emplace_back(row.info.kind);
  }
  std::string message = "aggregator.kind: \"" + Excerpt(section.kind) + "\" is not known";
  if (const auto near = NearestName(section.kind, names))
    message += "; did you mean " + *near + "?";
  message += "; known:";
  for (const std::string& name : names) message += " " + name;
  return NotFoundError(std::move(message));
}

std::span<const AggregatorInfo> KnownAggregators() {
  static const auto infos = [] {
    std::array<AggregatorInfo, kAggregators.size()> all;
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = kAggregators[i].info;
    return all;
  }();
  return infos;
}

}  // namespace tributary::aggregators
