#include "server/pacing.h"

#include <array>
#include <string_view>

#include "core/text.h"
#include "server/synchronous_pacing.h"

namespace tributary::server {
namespace {

struct Row {
  std::string_view kind;
  std::unique_ptr<Pacing> (*make)(const CampaignFile&);
};
constexpr std::array<Row, 1> kPacings = {{
    {"synchronous", MakeSynchronousPacing},
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

}  // namespace tributary::server
