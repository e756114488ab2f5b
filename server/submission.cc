#include "server/submission.h"

#include <set>

#include "core/safetensors.h"
#include "server/caller.h"
#include "server/engine.h"
#include "server/strategy.h"

namespace tributary::server {

Status CheckWithout(const Campaign& campaign, const std::vector<std::string>& sites) {
  CampaignFile file = campaign.file;
  std::set<std::string> gone(sites.begin(), sites.end());
  for (const auto& [site, answer] : campaign.answers) {
    if (answer.kind == SiteAnswer::Kind::kDropped) gone.insert(site);
  }
  if (gone.empty()) return OkStatus();
  std::erase_if(file.sites, [&](const std::string& site) { return gone.contains(site); });
  for (const std::string& site : gone) file.adapter.site_ranks.erase(site);
  return CheckStrategy(file).Annotate("without" + [&] {
    std::string names;
    for (const std::string& site : gone) names += " " + site;
    return names;
  }());
}

Status CheckByTodaysRules(const Campaign& campaign, const Event& event) {
  if (campaign.rules >= kCurrentRules) return OkStatus();  // the engine looks
  State state;
  state.campaigns[campaign.id] = campaign;
  state.campaigns[campaign.id].rules = kCurrentRules;
  return Check(state, event);
}

Status CheckInitialAdapter(const BlobStore& blobs, const Digest& digest, const CampaignFile& file) {
  if (!blobs.Has(digest)) {
    return FailedPreconditionError("initial adapter " + digest.ToHex() + " was not uploaded");
  }
  const auto adapter = SafetensorsFile::Open(blobs.PathOf(digest), OnDamage::kReport);
  if (!adapter.ok()) {
    return Status(adapter.status().code(),
                  "initial adapter: " + WithoutDirectories(adapter.status().message()));
  }
  return CheckInitialTensors(*adapter, file);
}

}  // namespace tributary::server
