#include <array>

#include "aggregators/aggregator.h"
#include "aggregators/bulyan.h"
#include "aggregators/centered_clip.h"
#include "aggregators/dare.h"
#include "aggregators/diloco.h"
#include "aggregators/fed_async.h"
#include "aggregators/fed_avg.h"
#include "aggregators/fed_avg_m.h"
#include "aggregators/fed_buff.h"
#include "aggregators/fed_dyn.h"
#include "aggregators/fed_nova.h"
#include "aggregators/fed_opt.h"
#include "aggregators/fed_prox.h"
#include "aggregators/fl_trust.h"
#include "aggregators/geometric_median.h"
#include "aggregators/krum.h"
#include "aggregators/lora/fed_ex_lora.h"
#include "aggregators/lora/fed_it.h"
#include "aggregators/lora/fed_p_lora.h"
#include "aggregators/lora/fed_rot_lora.h"
#include "aggregators/lora/fed_sa_lora.h"
#include "aggregators/lora/fed_sb.h"
#include "aggregators/lora/fed_svd.h"
#include "aggregators/lora/ffa_lora.h"
#include "aggregators/lora/flex_lora.h"
#include "aggregators/lora/flora.h"
#include "aggregators/lora/fold_flex.h"
#include "aggregators/lora/het_lora.h"
#include "aggregators/lora/lora_fair.h"
#include "aggregators/lora/ra_flora.h"
#include "aggregators/lora/rbla.h"
#include "aggregators/lora/ro_lora.h"
#include "aggregators/median.h"
#include "aggregators/mifa.h"
#include "aggregators/norm_clip.h"
#include "aggregators/scaffold.h"
#include "aggregators/soup.h"
#include "aggregators/task_arithmetic.h"
#include "aggregators/ties.h"
#include "aggregators/trimmed_mean.h"
#include "core/text.h"

namespace tributary::aggregators {

// By family and then name.
std::span<const Strategy* const> Strategies() {
  static const auto kStrategies = std::to_array<const Strategy*>({
      // general
      &DilocoStrategy(),
      &FedAdagradStrategy(),
      &FedAdamStrategy(),
      &FedAsyncStrategy(),
      &FedAvgStrategy(),
      &FedAvgMStrategy(),
      &FedBuffStrategy(),
      &FedDynStrategy(),
      &FedNovaStrategy(),
      &FedProxStrategy(),
      &FedYogiStrategy(),
      &MifaStrategy(),
      &ScaffoldStrategy(),
      // robust
      &BulyanStrategy(),
      &CenteredClipStrategy(),
      &FlTrustStrategy(),
      &GeometricMedianStrategy(),
      &KrumStrategy(),
      &MedianStrategy(),
      &MultiKrumStrategy(),
      &NormClipStrategy(),
      &TrimmedMeanStrategy(),
      // merging
      &DareStrategy(),
      &SoupStrategy(),
      &TaskArithmeticStrategy(),
      &TiesStrategy(),
      // lora
      &FedPLoraStrategy(),
      &FedSbStrategy(),
      &FedExLoraStrategy(),
      &FedItStrategy(),
      &FedRotLoraStrategy(),
      &FedSaLoraStrategy(),
      &FedSvdStrategy(),
      &FfaLoraStrategy(),
      &FlexLoraStrategy(),
      &FloraStrategy(),
      &FoldFlexStrategy(),
      &HetLoraStrategy(),
      &LoraFairStrategy(),
      &RaFloraStrategy(),
      &RblaStrategy(),
      &RoLoraStrategy(),
      &ZeroPadStrategy(),
  });
  return kStrategies;
}

Result<const Strategy*> FindStrategy(std::string_view kind) {
  std::vector<std::string> names;
  for (const Strategy* strategy : Strategies()) {
    if (strategy->kind == kind) return strategy;
    names.emplace_back(strategy->kind);
  }
  std::string message = "aggregator.kind: \"" + Excerpt(kind) + "\" is not known";
  if (const auto near = NearestName(kind, names)) message += "; did you mean " + *near + "?";
  message += "; known:";
  for (const std::string& name : names) message += " " + name;
  return NotFoundError(std::move(message));
}

Result<std::unique_ptr<Aggregator>> MakeAggregator(const AggregatorSection& section) {
  TRIBUTARY_ASSIGN_OR_RETURN(const Strategy* strategy, FindStrategy(section.kind));
  const std::string context = "aggregator " + section.kind;
  TRIBUTARY_ASSIGN_OR_RETURN(const Options options,
                             Options::Read(section.options, strategy->options).Annotate(context));
  return strategy->make(section, options).Annotate(context);
}

}  // namespace tributary::aggregators
