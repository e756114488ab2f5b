#include "server/start_check.h"

#include "core/count_text.h"

namespace tributary::server {

Status CheckNotEmptied(const State& state, const DataDirectory& directory) {
  const bool empty = state.sites.empty() && state.campaigns.empty();
  if (!empty || (directory.blobs == 0 && directory.joined.empty())) return OkStatus();
  return DataLossError(directory.path + ": the journal is empty, but " +
                       CountText(static_cast<std::int64_t>(directory.blobs), "blob") + " and " +
                       CountText(static_cast<std::int64_t>(directory.joined.size()), "site") +
                       " that joined belong here; bring back journal.db together with "
                       "journal.db-wal, or begin anew in "
                       "another data_dir");
}

std::vector<std::string> UnknownSites(const State& state, const DataDirectory& directory) {
  std::vector<std::string> unknown;
  for (const std::string& site : directory.joined) {
    if (!state.sites.contains(site)) unknown.push_back(site);
  }
  return unknown;
}

}  // namespace tributary::server
