#include "server/synchronous_pacing.h"

#include <algorithm>

namespace tributary::server {
namespace {

class SynchronousPacing final : public Pacing {
 public:
  explicit SynchronousPacing(const CampaignFile& file)
      : pacing_(file.pacing), steps_(file.training.steps) {}

  RoundPlan Plan(const PlanInput& input) const override {
    RoundPlan plan;
    plan.deadline = pacing_.deadline;
    const auto wanted = static_cast<std::size_t>(pacing_.sites_per_round);
    const std::vector<std::string> sites =
        wanted == 0 ? input.eligible : ChooseSites(input.eligible, wanted, input.seed);
    const std::int64_t needed = std::max({pacing_.quorum, input.least, std::int64_t{1}});
    plan.enough = static_cast<std::int64_t>(sites.size()) >= needed;
    if (!plan.enough) return plan;
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

  std::int64_t LeastUpdates() const override { return std::max<std::int64_t>(pacing_.quorum, 1); }
  bool Carries() const override { return false; }

 private:
  const PacingSection pacing_;
  const std::int64_t steps_;
};

}  // namespace

Result<std::unique_ptr<Pacing>> MakeSynchronousPacing(const CampaignFile& file) {
  return {std::make_unique<SynchronousPacing>(file)};
}

}  // namespace tributary::server
