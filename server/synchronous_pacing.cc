#include "server/synchronous_pacing.h"

#include <algorithm>

#include "core/sha256.h"

namespace tributary::server {
namespace {

class SynchronousPacing final : public Pacing {
 public:
  explicit SynchronousPacing(const CampaignFile& file)
      : pacing_(file.pacing), steps_(file.training.steps) {}

  RoundPlan Plan(const PlanInput& input) const override {
    RoundPlan plan;
    plan.deadline = pacing_.deadline;
    const std::vector<std::string> sites = Select(input);
    const std::int64_t needed = std::max(pacing_.quorum, input.least);
    if (static_cast<std::int64_t>(sites.size()) < needed) return plan;  // could never close
    for (const std::string& site : sites) plan.sites.push_back({site, steps_, 1.0});
    return plan;
  }

  Decision Decide(const RoundView& view) const override {
    const std::int64_t quorum =
        std::max(pacing_.quorum == 0 ? view.selected : pacing_.quorum, view.least);
    const bool all_reported = view.accepted + view.failed >= view.selected;
    if (view.accepted >= quorum && (all_reported || view.deadline_passed)) return Decision::kClose;
    return all_reported ? Decision::kImpossible : Decision::kWait;
  }

  std::int64_t SitesNeeded(std::int64_t named) const override {
    if (pacing_.quorum > 0) return pacing_.quorum;
    return pacing_.sites_per_round > 0 ? pacing_.sites_per_round : named;
  }

 private:
  // A seeded choice: sites ordered by a hash of (seed, name), the first n, back in name order.
  std::vector<std::string> Select(const PlanInput& input) const {
    std::vector<std::string> sites = input.eligible;
    const auto wanted = static_cast<std::size_t>(pacing_.sites_per_round);
    if (wanted == 0 || sites.size() <= wanted) return sites;
    std::vector<std::pair<Digest, std::string>> keyed;
    for (const std::string& site : sites) {
      keyed.emplace_back(Sha256Of(std::to_string(input.seed) + "/" + site), site);
    }
    std::sort(keyed.begin(), keyed.end());
    sites.clear();
    for (std::size_t i = 0; i < wanted; ++i) sites.push_back(keyed[i].second);
    std::sort(sites.begin(), sites.end());
    return sites;
  }

  const PacingSection pacing_;
  const std::int64_t steps_;
};

}  // namespace

std::unique_ptr<Pacing> MakeSynchronousPacing(const CampaignFile& file) {
  return std::make_unique<SynchronousPacing>(file);
}

}  // namespace tributary::server
