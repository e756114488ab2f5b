// Which modules of a model an adapter's configuration names: PEFT's rules.
#include <algorithm>
#include <optional>
#include <set>

#include "core/module_pattern.h"
#include "core/peft_adapter.h"
#include "core/text.h"

namespace tributary {
namespace {

constexpr std::string_view kAllLinear = "all-linear";

std::string Join(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string LastName(const std::string& module) { return module.substr(module.rfind('.') + 1); }

// The last name components of what the predicate picks.
template <typename Predicate>
std::string Known(const std::vector<ModelModule>& modules, const Predicate& pick) {
  std::set<std::string> names;
  for (const ModelModule& module : modules) {
    if (pick(module)) names.insert(LastName(module.name));
  }
  return Join(names);
}

bool IsLinear(const ModelModule& module) { return module.kind == ModuleKind::kLinear; }

bool IsTarget(const std::string& module, const std::string& target) {
  return module == target || module.ends_with("." + target);
}

Result<std::vector<ModelModule>> TargetsByName(const std::vector<std::string>& targets,
                                               const std::vector<ModelModule>& modules) {
  std::vector<ModelModule> found;
  std::set<std::string> unmatched(targets.begin(), targets.end());
  for (const ModelModule& module : modules) {
    if (!IsLinear(module)) continue;
    bool is_target = false;
    for (const std::string& target : targets) {
      if (!IsTarget(module.name, target)) continue;
      is_target = true;
      unmatched.erase(target);
    }
    if (is_target) found.push_back(module);
  }
  if (unmatched.empty()) return found;
  return InvalidArgumentError("target_modules: no such linear module: " + Join(unmatched) +
                              "; the model has " + Known(modules, IsLinear));
}

Result<std::vector<ModelModule>> TargetsByPattern(const std::string& expression,
                                                  const std::vector<ModelModule>& modules) {
  std::vector<ModelModule> found;
  TRIBUTARY_ASSIGN_OR_RETURN(const ModulePattern pattern,
                             ModulePattern::Compile(expression).Annotate("target_modules"));
  for (const ModelModule& module : modules) {
    TRIBUTARY_ASSIGN_OR_RETURN(const bool matches, pattern.Matches(module.name));
    if (!matches) continue;
    if (!IsLinear(module)) {
      return InvalidArgumentError("target_modules: \"" + Excerpt(expression) + "\" matches " +
                                  module.name + ", which can get no LoRA; it may match " +
                                  Known(modules, IsLinear));
    }
    found.push_back(module);
  }
  return found;
}

Result<std::vector<ModelModule>> Targets(const AdapterConfig& adapter,
                                         const std::vector<ModelModule>& modules) {
  if (adapter.target_pattern.empty()) return TargetsByName(adapter.target_modules, modules);
  if (adapter.target_pattern != kAllLinear) {
    return TargetsByPattern(adapter.target_pattern, modules);
  }
  std::vector<ModelModule> linear = modules;
  std::erase_if(linear, [](const ModelModule& module) { return !IsLinear(module); });
  return linear;
}

// The expressions of a rank_pattern or alpha_pattern, compiled.
template <typename Value>
class PatternTable {
 public:
  static Result<PatternTable> Make(const char* key, const ModuleValues<Value>& values) {
    PatternTable table;
    for (const auto& [name, value] : values) {
      TRIBUTARY_ASSIGN_OR_RETURN(ModulePattern pattern,
                                 ModulePattern::Compile("(.*\\.)?(" + name + ")").Annotate(key));
      table.entries_.emplace_back(std::move(pattern), value);
    }
    return table;
  }

  Result<Value> Find(const std::string& module, Value fallback) const {
    for (const auto& [pattern, value] : entries_) {
      TRIBUTARY_ASSIGN_OR_RETURN(const bool matches, pattern.Matches(module));
      if (matches) return value;
    }
    return fallback;
  }

 private:
  std::vector<std::pair<ModulePattern, Value>> entries_;
};

// PEFT matches the end of the name, dots or not.
Result<std::vector<ModelModule>> SavedModules(const std::vector<std::string>& names,
                                              const std::vector<ModelModule>& modules) {
  std::vector<ModelModule> saved;
  std::set<std::string> unmatched(names.begin(), names.end());
  for (const ModelModule& module : modules) {
    bool is_saved = false;
    for (const std::string& name : names) {
      if (name.empty() || !module.name.ends_with(name)) continue;
      is_saved = true;
      unmatched.erase(name);
    }
    if (is_saved) saved.push_back(module);
  }
  if (unmatched.empty()) return saved;
  return InvalidArgumentError("modules_to_save: no such module: " + Join(unmatched) +
                              "; the model has " +
                              Known(modules, [](const ModelModule&) { return true; }));
}

}  // namespace

Result<AdapterLayout> LayOutAdapter(const AdapterConfig& adapter, const ModelShape& model) {
  AdapterLayout layout;
  if (adapter.kind == AdapterKind::kFull) return layout;
  const std::vector<ModelModule> modules = model.Modules();
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<ModelModule> targets, Targets(adapter, modules));
  if (targets.empty()) {
    return InvalidArgumentError("target_modules: names no linear module; the model has " +
                                Known(modules, IsLinear));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(
      const auto ranks, PatternTable<std::int64_t>::Make("rank_pattern", adapter.rank_pattern));
  TRIBUTARY_ASSIGN_OR_RETURN(const auto alphas,
                             PatternTable<double>::Make("alpha_pattern", adapter.alpha_pattern));
  for (const ModelModule& module : targets) {
    TRIBUTARY_ASSIGN_OR_RETURN(const std::int64_t rank, ranks.Find(module.name, adapter.rank));
    TRIBUTARY_ASSIGN_OR_RETURN(const double alpha, alphas.Find(module.name, adapter.alpha));
    layout.pairs.push_back({module, rank, adapter.ScaleOf(rank, alpha)});
  }
  TRIBUTARY_ASSIGN_OR_RETURN(layout.saved, SavedModules(adapter.modules_to_save, modules));
  for (const ModelModule& module : layout.saved) {
    const bool both = std::any_of(targets.begin(), targets.end(), [&](const ModelModule& target) {
      return target.name == module.name;
    });
    if (both) {
      return InvalidArgumentError("modules_to_save: " + module.name +
                                  " is among target_modules too; name it in one of them");
    }
  }
  return layout;
}

Result<Manifest> AdapterManifest(const AdapterConfig& adapter, const ModelShape& model) {
  if (adapter.kind == AdapterKind::kFull) return model.AllWeights();
  TRIBUTARY_ASSIGN_OR_RETURN(const AdapterLayout layout, LayOutAdapter(adapter, model));
  Manifest manifest;
  for (const auto& [module, rank, scale] : layout.pairs) {
    manifest.push_back({LoraName(module.name, true), DType::kF32, {rank, module.in}});
    manifest.push_back({LoraName(module.name, false), DType::kF32, {module.out, rank}});
    if (adapter.middle) manifest.push_back({MiddleName(module.name), DType::kF32, {rank, rank}});
  }
  for (const ModelModule& module : layout.saved) {
    manifest.push_back({SavedName(module.name + ".weight"), DType::kF32, module.WeightShape()});
    if (module.bias) {
      manifest.push_back({SavedName(module.name + ".bias"), DType::kF32, {module.out}});
    }
  }
  std::sort(manifest.begin(), manifest.end(),
            [](const TensorSpec& a, const TensorSpec& b) { return a.name < b.name; });
  return manifest;
}

}  // namespace tributary
