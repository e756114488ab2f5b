#include "server/buffered_pacing.h"

#include <algorithm>

namespace tributary::server {
namespace {

class BufferedPacing final : public Pacing {
 public:
  explicit BufferedPacing(const CampaignFile& file)
      : pacing_(file.pacing), steps_(file.training.steps) {}

  RoundPlan Plan(const PlanInput& input) const override {
    RoundPlan plan;
    plan.deadline = pacing_.deadline;
    std::vector<std::string> sites = input.eligible;
    if (pacing_.sites_per_round > 0) {
      const std::int64_t training = input.carried - input.late;  // nobody hears of the others
      const std::int64_t free = std::max<std::int64_t>(pacing_.sites_per_round - training, 0);
      sites = ChooseSites(sites, static_cast<std::size_t>(free), input.seed);
    }
    const std::int64_t all = static_cast<std::int64_t>(sites.size()) + input.carried;
    plan.enough = all >= std::max<std::int64_t>(input.least, 1);
    if (!plan.enough) return plan;
    for (const std::string& site : sites) plan.sites.push_back({site, steps_, 1.0});
    return plan;
  }

  Decision Decide(const RoundView& view) const override {
    const std::int64_t least = std::max<std::int64_t>(view.least, 1);
    if (view.accepted >= std::max(pacing_.quorum, least)) return Decision::kClose;
    // Nobody else comes: sites have left, or failed for good.
    const bool all_reported = view.accepted + view.failed >= view.selected;
    if (view.accepted >= least && (all_reported || view.deadline_passed)) return Decision::kClose;
    return all_reported ? Decision::kImpossible : Decision::kWait;
  }

  std::int64_t SitesNeeded(std::int64_t /*named*/) const override { return pacing_.quorum; }
  std::int64_t LeastUpdates() const override { return 1; }
  bool Carries() const override { return true; }

 private:
  const PacingSection pacing_;
  const std::int64_t steps_;
};

}  // namespace

Result<std::unique_ptr<Pacing>> MakeBufferedPacing(const CampaignFile& file) {
  if (file.pacing.quorum < 1) {
    return InvalidArgumentError(
        "pacing.quorum: buffered pacing closes a round with so many updates; must be at least 1");
  }
  return {std::make_unique<BufferedPacing>(file)};
}

}  // namespace tributary::server
