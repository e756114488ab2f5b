#include "cli/initial_adapter_config.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <sstream>
#include <vector>

#include "core/files.h"

namespace tributary::cli {
namespace {

bool SameScale(double a, double b) { return std::abs(a - b) <= 1e-6 * std::abs(b); }

std::string Describe(std::int64_t rank, double scale) {
  std::ostringstream text;
  text << "rank " << rank << " and scale " << scale;
  return text.str();
}

std::string Names(const std::vector<ModelModule>& modules) {
  std::set<std::string> names;
  for (const ModelModule& module : modules) names.insert(module.name);
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "none" : text;
}

// The same function of the same factors, module by module.
Status CompareLayouts(const AdapterLayout& given, const AdapterLayout& campaign) {
  std::map<std::string, AdapterLayout::LoraPair> pairs;
  for (const auto& pair : given.pairs) pairs.emplace(pair.module.name, pair);
  for (const auto& pair : campaign.pairs) {
    const auto it = pairs.find(pair.module.name);
    if (it == pairs.end()) return InvalidArgumentError(pair.module.name + " is no target of it");
    if (it->second.rank != pair.rank || !SameScale(it->second.scale, pair.scale)) {
      return InvalidArgumentError("gives " + pair.module.name + " " +
                                  Describe(it->second.rank, it->second.scale) + ", the campaign " +
                                  Describe(pair.rank, pair.scale));
    }
    pairs.erase(it);
  }
  if (!pairs.empty()) {
    return InvalidArgumentError(pairs.begin()->first + " is no target of the campaign");
  }
  if (Names(given.saved) == Names(campaign.saved)) return OkStatus();
  return InvalidArgumentError("modules_to_save are " + Names(given.saved) + ", the campaign's " +
                              Names(campaign.saved));
}

// Without the model's shapes the expressions themselves must be the same.
Status CompareConfigs(const AdapterConfig& given, const AdapterConfig& campaign) {
  const auto sorted = [](auto values) {
    std::sort(values.begin(), values.end());
    return values;
  };
  if (given.rank != campaign.rank || !SameScale(given.Scale(), campaign.Scale())) {
    return InvalidArgumentError("has " + Describe(given.rank, given.Scale()) + ", the campaign " +
                                Describe(campaign.rank, campaign.Scale()));
  }
  if (given.use_rslora != campaign.use_rslora && given.HasPatterns()) {
    return InvalidArgumentError("use_rslora is not the campaign's");
  }
  if (sorted(given.rank_pattern) != sorted(campaign.rank_pattern)) {
    return InvalidArgumentError("rank_pattern is not the campaign's");
  }
  if (sorted(given.alpha_pattern) != sorted(campaign.alpha_pattern)) {
    return InvalidArgumentError("alpha_pattern is not the campaign's");
  }
  if (given.target_pattern != campaign.target_pattern ||
      sorted(given.target_modules) != sorted(campaign.target_modules)) {
    return InvalidArgumentError("target_modules are not the campaign's");
  }
  if (sorted(given.modules_to_save) != sorted(campaign.modules_to_save)) {
    return InvalidArgumentError("modules_to_save are not the campaign's");
  }
  return OkStatus();
}

Status Compare(const AdapterConfig& given, const AdapterConfig& campaign, const ModelShape* model) {
  if (given.kind != campaign.kind) {
    return InvalidArgumentError("is of another kind than the campaign's adapter");
  }
  if (given.kind == AdapterKind::kFull) return OkStatus();
  if (given.middle != campaign.middle) {
    return InvalidArgumentError(std::string("has ") + (given.middle ? "" : "no ") +
                                "middle matrices, unlike the campaign's adapter");
  }
  if (model == nullptr) return CompareConfigs(given, campaign);
  TRIBUTARY_ASSIGN_OR_RETURN(const AdapterLayout theirs, LayOutAdapter(given, *model));
  TRIBUTARY_ASSIGN_OR_RETURN(const AdapterLayout ours, LayOutAdapter(campaign, *model));
  return CompareLayouts(theirs, ours);
}

}  // namespace

Status CheckInitialConfig(const std::string& config_path, const AdapterConfig& campaign,
                          const ModelShape* model) {
  if (!PathExists(config_path)) return OkStatus();
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string text, ReadFile(config_path));
  TRIBUTARY_ASSIGN_OR_RETURN(const AdapterConfig given,
                             AdapterConfig::FromPeftJson(text).Annotate(config_path));
  const Status same = Compare(given, campaign, model).Annotate(config_path);
  if (same.ok()) return same;
  return InvalidArgumentError(same.message() +
                              "; say under adapter: what it was trained with (kind, rank, alpha, "
                              "use_rslora, rank_pattern, alpha_pattern, target_modules, "
                              "modules_to_save)");
}

}  // namespace tributary::cli
