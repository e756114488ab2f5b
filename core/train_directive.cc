#include "core/train_directive.h"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>

#include "core/random.h"

namespace tributary {

std::vector<std::int64_t> TrainedRanks(RankChoice choice, std::int64_t global_rank,
                                       std::int64_t site_rank, std::uint64_t task_seed) {
  std::vector<std::int64_t> ranks(static_cast<std::size_t>(global_rank));
  std::iota(ranks.begin(), ranks.end(), 0);
  const auto kept = static_cast<std::size_t>(std::clamp<std::int64_t>(site_rank, 0, global_rank));
  if (choice == RankChoice::kSeeded) {  // the first steps of a Fisher-Yates shuffle
    SplitMix64 random(DeriveSeed(task_seed, HashName("ranks")));
    for (std::size_t i = 0; i < kept; ++i) {
      std::swap(ranks[i], ranks[i + random.Below(ranks.size() - i)]);
    }
  }
  ranks.resize(kept);
  std::sort(ranks.begin(), ranks.end());
  return ranks;
}

std::string_view FrozenFactorName(FrozenFactor frozen) {
  static constexpr std::array<std::string_view, 4> kNames = {"none", "lora_A", "lora_B", "both"};
  return kNames[static_cast<std::size_t>(frozen)];
}

bool Freezes(FrozenFactor frozen, std::string_view tensor) {
  const bool both = frozen == FrozenFactor::kBoth;
  return ((both || frozen == FrozenFactor::kA) && IsLoraA(tensor)) ||
         ((both || frozen == FrozenFactor::kB) && IsLoraB(tensor));
}

bool IsLoraA(std::string_view tensor) { return tensor.ends_with(".lora_A.weight"); }
bool IsLoraB(std::string_view tensor) { return tensor.ends_with(".lora_B.weight"); }
bool IsLoraC(std::string_view tensor) { return tensor.ends_with(".lora_C.weight"); }

std::string LoraBOf(std::string_view lora_a) {
  constexpr std::string_view kA = ".lora_A.weight";
  return std::string(lora_a.substr(0, lora_a.size() - kA.size())) + ".lora_B.weight";
}

Status CheckLoraPair(const TensorSpec& a, const TensorSpec& b) {
  if (a.shape.size() == 2 && b.shape.size() == 2 && a.shape[0] == b.shape[1]) return OkStatus();
  return InvalidArgumentError("tensor " + a.name + " " + a.ShapeText() + " and tensor " + b.name +
                              " " + b.ShapeText() +
                              " are no LoRA pair; must be [rank, in] and [out, rank]");
}

Status CheckLoraPairs(const Manifest& manifest) {
  std::map<std::string_view, const TensorSpec*> factors;
  for (const TensorSpec& spec : manifest) {
    if (!IsLoraA(spec.name) && !IsLoraB(spec.name)) continue;
    factors[spec.name] = &spec;
    if (spec.shape.size() == 2) continue;
    return InvalidArgumentError("tensor " + spec.name + " " + spec.ShapeText() +
                                " is no factor of a LoRA pair; must have two dimensions");
  }
  for (const auto& [name, spec] : factors) {
    if (!IsLoraA(name)) continue;
    const auto b = factors.find(LoraBOf(name));
    if (b != factors.end()) TRIBUTARY_RETURN_IF_ERROR(CheckLoraPair(*spec, *b->second));
  }
  return OkStatus();
}

Manifest TrainedManifest(const Manifest& global, std::int64_t site_rank) {
  Manifest trained = global;
  for (TensorSpec& spec : trained) {
    if (spec.shape.size() != 2) continue;
    if (IsLoraA(spec.name)) spec.shape[0] = std::min(spec.shape[0], site_rank);
    if (IsLoraB(spec.name)) spec.shape[1] = std::min(spec.shape[1], site_rank);
  }
  return trained;
}

Manifest UpdateManifest(const Manifest& trained, const TrainDirective& directive) {
  Manifest update;
  for (const TensorSpec& spec : trained) {
    if (Freezes(directive.frozen, spec.name)) continue;
    if (directive.keep_b_local && IsLoraB(spec.name)) continue;
    update.push_back(spec);
    if (directive.offset != GradientOffset::kControlVariate) continue;
    update.push_back(spec);
    update.back().name = std::string(kSecondPrefix) + spec.name;
  }
  std::sort(update.begin(), update.end(),
            [](const TensorSpec& a, const TensorSpec& b) { return a.name < b.name; });
  return update;
}

}  // namespace tributary
