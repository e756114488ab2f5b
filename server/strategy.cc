#include "server/strategy.h"

#include <algorithm>

#include "aggregators/aggregator.h"
#include "core/count_text.h"
#include "server/pacing.h"

namespace tributary::server {
namespace {

using aggregators::Capabilities;
using aggregators::Strategy;

// Strategies that freeze one factor and then the other do so in turns shorter than this.
constexpr std::int64_t kRoundsAlike = 8;

// Kinds that can do what `works` asks for, for an error's advice.
template <typename Predicate>
std::string KindsThat(Predicate works) {
  std::string kinds;
  for (const Strategy* strategy : aggregators::Strategies()) {
    if (works(strategy->capabilities) && !strategy->experimental) {
      kinds += (kinds.empty() ? "" : ", ") + std::string(strategy->kind);
    }
  }
  return kinds;
}

bool HasMixedRanks(const CampaignFile& file) {
  return std::any_of(file.sites.begin(), file.sites.end(), [&](const std::string& site) {
    const std::int64_t rank = SiteRank(file, site);
    return rank != 0 && rank != file.adapter.rank;
  });
}

TrainDirective DirectiveOf(const CampaignFile& file, std::int64_t round) {
  const auto aggregator = aggregators::MakeAggregator(file.aggregator);
  TrainDirective directive = aggregator.ok() ? (*aggregator)->Directive(round) : TrainDirective();
  directive.dtype = UpdateDtypeOf(file.update.dtype);
  directive.error_feedback = directive.dtype != UpdateDtype::kF32 && file.update.error_feedback;
  return directive;
}

Status CheckCombination(const CampaignFile& file, const Strategy& strategy) {
  const Capabilities& can = strategy.capabilities;
  const std::string kind(strategy.kind);
  if (can.lora_only && file.adapter.kind != "lora") {
    return InvalidArgumentError("aggregator.kind: " + kind +
                                " combines LoRA factors, but adapter.kind is " + file.adapter.kind +
                                "; use adapter.kind: lora, or one of " +
                                KindsThat([](const Capabilities& c) { return !c.lora_only; }));
  }
  const bool patterns = !file.adapter.rank_pattern.empty() || !file.adapter.alpha_pattern.empty();
  if (can.lora_only && patterns) {
    return InvalidArgumentError("adapter: " + kind +
                                " works with one scale for all modules; leave rank_pattern and "
                                "alpha_pattern out, or use one of " +
                                KindsThat([](const Capabilities& c) { return !c.lora_only; }));
  }
  const bool freezes_factors = DirectiveOf(file, 1).frozen == FrozenFactor::kBoth;
  if (freezes_factors != file.adapter.middle) {
    return InvalidArgumentError(
        freezes_factors
            ? "adapter.middle: " + kind +
                  " trains a matrix between the factors and nothing of them; set middle: true"
            : "adapter.middle: " + kind +
                  " trains the factors too, and then a mean of middle matrices is nobody's; leave "
                  "middle out, or use aggregator.kind: fed-sb");
  }
  if (HasMixedRanks(file) && !can.mixed_ranks) {
    return InvalidArgumentError("adapter.site_ranks: " + kind +
                                " needs the same rank at every site; leave site_ranks out, or use "
                                "one of " +
                                KindsThat([](const Capabilities& c) { return c.mixed_ranks; }));
  }
  if (file.update.dtype != "f32" && !can.lossy_compression) {
    return InvalidArgumentError(
        "update.dtype: " + kind + " needs updates as they are; use f32, or one of " +
        KindsThat([](const Capabilities& c) { return c.lossy_compression; }));
  }
  const bool prunes = DirectiveOf(file, 1).pruning.penalty > 0;
  if (file.update.dtype != "f32" && file.update.error_feedback && (HasMixedRanks(file) || prunes)) {
    return InvalidArgumentError(
        "update.error_feedback: what a site rounds away belongs to ranks that it may not train "
        "next time; with " +
        std::string(prunes ? "aggregator.options.rank_penalty" : "adapter.site_ranks") +
        " use error_feedback: false");
  }
  if (file.aggregator.max_update_norm > 0 && prunes) {
    return InvalidArgumentError(
        "aggregator.max_update_norm: a site that gives ranks up takes away all that the version "
        "has in them, which no limit on updates foresees; use rank_penalty: 0 in "
        "aggregator.options, or leave max_update_norm out");
  }
  if (!can.uses_weights && file.aggregator.weights == "custom") {
    return InvalidArgumentError("aggregator.weights: " + kind +
                                " counts every site alike, whatever its weight; leave weights out");
  }
  return OkStatus();
}

}  // namespace

Status CheckStrategy(const CampaignFile& file) {
  TRIBUTARY_ASSIGN_OR_RETURN(const Strategy* strategy,
                             aggregators::FindStrategy(file.aggregator.kind));
  TRIBUTARY_ASSIGN_OR_RETURN(const auto aggregator, aggregators::MakeAggregator(file.aggregator));
  TRIBUTARY_RETURN_IF_ERROR(CheckCombination(file, *strategy));
  TRIBUTARY_ASSIGN_OR_RETURN(const auto pacing, MakePacing(file));
  if (pacing->Carries() && !strategy->capabilities.asynchronous) {
    return InvalidArgumentError("pacing.kind: aggregator " + file.aggregator.kind +
                                " does not take updates of older versions, which " +
                                file.pacing.kind +
                                " pacing gives it; use pacing.kind: synchronous, or one of " +
                                KindsThat([](const Capabilities& c) { return c.asynchronous; }));
  }
  const std::int64_t updates = pacing->SitesNeeded(static_cast<std::int64_t>(file.sites.size()));
  if (updates >= aggregator->MinSites()) return OkStatus();
  return InvalidArgumentError("pacing: a round may close with " + CountText(updates, "update") +
                              " but aggregator " + file.aggregator.kind + " needs " +
                              std::to_string(aggregator->MinSites()) +
                              "; raise pacing.quorum or name more sites");
}

std::int64_t UpdatesNeeded(const Campaign& campaign) {
  const std::int64_t quorum = PacingOf(campaign)->LeastUpdates();
  if (campaign.rules < 2) return quorum;
  const auto aggregator = aggregators::MakeAggregator(campaign.file.aggregator);
  return aggregator.ok() ? std::max(quorum, (*aggregator)->MinSites()) : quorum;
}

TrainDirective FirstDirective(const CampaignFile& file) { return DirectiveOf(file, 1); }

std::vector<std::string> TrainerNeeds(const CampaignFile& file) {
  std::vector<std::string> needs;
  const auto need = [&](bool needed, const char* name) {
    const bool there = std::find(needs.begin(), needs.end(), name) != needs.end();
    if (needed && !there) needs.emplace_back(name);
  };
  const auto aggregator = aggregators::MakeAggregator(file.aggregator);
  bool merges = aggregator.ok() && (*aggregator)->Merges();
  for (std::int64_t round = 1; round <= kRoundsAlike; ++round) {
    const TrainDirective directive = DirectiveOf(file, round);
    need(directive.frozen != FrozenFactor::kNone, "frozen");
    need(directive.proximal > 0, "proximal");
    need(directive.offset != GradientOffset::kNone, "gradient_offset");
    need(directive.keep_optimizer, "keep_optimizer");
    need(directive.pruning.penalty > 0, "pruning");
    merges = merges || (directive.fold_untrained_ranks && HasMixedRanks(file));
  }
  need(merges, "merged");
  need(file.adapter.middle, "middle");
  const bool evaluates = file.evaluation.every > 0 && !file.data.evaluate.empty();
  need(evaluates, "evaluate");
  need(evaluates && file.evaluation.answer_tokens > 0, "answers");
  if (file.training.base_precision != "fp32") {
    needs.push_back("base_precision." + file.training.base_precision);
  }
  return needs;
}

TrainDirective DirectiveFor(const Campaign& campaign, const Task& task) {
  const TrainDirective directive = DirectiveOf(campaign.file, task.round);
  if (task.kind == TaskKind::kTrain) return directive;
  TrainDirective evaluation;
  evaluation.keep_b_local = directive.keep_b_local;
  return evaluation;
}

std::int64_t SiteRank(const CampaignFile& file, const std::string& site) {
  const auto it = file.adapter.site_ranks.find(site);
  return it == file.adapter.site_ranks.end() ? 0 : it->second;
}

std::vector<BlobRef> MergedProducts(const Campaign& campaign, std::int64_t version) {
  std::vector<BlobRef> products;
  for (const Version& v : campaign.versions) {
    if (v.number <= version && !v.merged.digest.IsZero()) products.push_back(v.merged);
  }
  return products;
}

aggregators::Contribution ContributionOf(const Campaign& campaign, const Task& task) {
  aggregators::Contribution contribution;
  contribution.site = task.site;
  contribution.samples = task.facts.samples;
  contribution.tokens = task.facts.tokens;
  contribution.steps = task.facts.steps;
  contribution.learning_rate_sum = task.facts.learning_rate_sum;
  contribution.staleness = campaign.versions.back().number - task.base_version;
  const std::int64_t rank = SiteRank(campaign.file, task.site);
  if (rank != 0) {
    contribution.ranks = TrainedRanks(DirectiveFor(campaign, task).ranks,
                                      campaign.file.adapter.rank, rank, task.seed);
  }
  return contribution;
}

}  // namespace tributary::server
