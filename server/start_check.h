// Whether the journal that was opened is the one that belongs to what lies beside it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/status.h"
#include "server/campaign_state.h"

namespace tributary::server {

// What a data directory holds besides the journal.
struct DataDirectory {
  std::string path;
  std::size_t blobs = 0;
  std::vector<std::string> joined = {};  // sites that joined with a token of this directory
};

// Data loss for a journal without a single site or campaign where there was one: serving it would
// turn every site away from what it knows, and the blobs would be removed as nobody's.
Status CheckNotEmptied(const State& state, const DataDirectory& directory);

// Sites that joined here and that the journal does not know.
std::vector<std::string> UnknownSites(const State& state, const DataDirectory& directory);

}  // namespace tributary::server
