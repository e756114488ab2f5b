#include "server/pacing.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "core/sha256.h"
#include "core/text.h"
#include "server/buffered_pacing.h"
#include "server/synchronous_pacing.h"

namespace tributary::server {
namespace {

struct Row {
  std::string_view kind;
  Result<std::unique_ptr<Pacing>> (*make)(const CampaignFile&);
};
constexpr std::array<Row, 2> kPacings = {{
    {"synchronous", MakeSynchronousPacing},
    {"buffered", MakeBufferedPacing},
}};

}  // namespace

Result<std::unique_ptr<Pacing>> MakePacing(const CampaignFile& file) {
  std::vector<std::string> names;
  for (const Row& row : kPacings) {
    if (row.kind == file.pacing.kind) return row.make(file);
    names.emplace_back(row.kind);
  }
  std::string message = "pacing.kind: \"" + Excerpt(file.pacing.kind) + "\" is not known";
  if (const auto near = NearestName(file.pacing.kind, names)) {
    message += "; did you mean " + *near + "?";
  }
  message += "; known:";
  for (const std::string& name : names) message += " " + name;
  return NotFoundError(std::move(message));
}

std::unique_ptr<Pacing> PacingOf(const Campaign& campaign) { return *MakePacing(campaign.file); }

std::vector<std::string> ChooseSites(const std::vector<std::string>& sites, std::size_t wanted,
                                     std::uint64_t seed) {
  if (sites.size() <= wanted) return sites;
  std::vector<std::pair<Digest, std::string>> keyed;
  for (const std::string& site : sites) {
    keyed.emplace_back(Sha256Of(std::to_string(seed) + "/" + site), site);
  }
  std::sort(keyed.begin(), keyed.end());
  std::vector<std::string> chosen;
  for (std::size_t i = 0; i < wanted; ++i) chosen.push_back(keyed[i].second);
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace tributary::server
