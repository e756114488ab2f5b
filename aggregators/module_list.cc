#include "aggregators/module_list.h"

#include <algorithm>

#include "core/train_directive.h"

namespace tributary::aggregators {
namespace {

// The tensor's position, or that of the end.
std::size_t Position(const Manifest& manifest, std::string_view name) {
  const auto it = std::lower_bound(
      manifest.begin(), manifest.end(), name,
      [](const TensorSpec& spec, std::string_view key) { return spec.name < key; });
  if (it == manifest.end() || it->name != name) return manifest.size();
  return static_cast<std::size_t>(it - manifest.begin());
}

std::string ModuleNamed(const std::string& name) {
  return name.substr(0, name.size() - kFactorA.size());
}

Status NoPartner(const std::string& name, std::string_view partner) {
  return InvalidArgumentError("tensor " + name + " has no partner " + ModuleNamed(name) +
                              std::string(partner));
}

}  // namespace

Result<std::vector<ModulePair>> FindModules(const Manifest& manifest) {
  std::vector<ModulePair> modules;
  for (std::size_t i = 0; i < manifest.size(); ++i) {
    const TensorSpec& spec = manifest[i];
    if (spec.name.ends_with(kFactorB) &&
        Position(manifest, ModuleNamed(spec.name) + std::string(kFactorA)) == manifest.size()) {
      return NoPartner(spec.name, kFactorA);
    }
    if (!spec.name.ends_with(kFactorA)) continue;
    const std::size_t b = Position(manifest, ModuleNamed(spec.name) + std::string(kFactorB));
    if (b == manifest.size()) return NoPartner(spec.name, kFactorB);
    TRIBUTARY_RETURN_IF_ERROR(CheckLoraPair(spec, manifest[b]));
    modules.push_back(
        {ModuleNamed(spec.name), i, b, spec.shape[0], spec.shape[1], manifest[b].shape[0]});
  }
  return modules;
}

}  // namespace tributary::aggregators
