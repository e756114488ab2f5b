// One round's fold: what it needs, copied from the engine's state, so that it can run on another
// thread, and what comes of it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "aggregators/file_round.h"
#include "core/blob_store.h"
#include "server/blob_holds.h"
#include "server/campaign_state.h"
#include "server/event.h"

namespace tributary::server {

struct FoldWork {
  std::string campaign;
  AggregatorSection aggregator;
  aggregators::RoundInput input;
  std::string prefix;  // of the files it makes
  BlobRef base;        // the version
  std::int64_t base_number = 0;
  std::int64_t closing = 0;                // Round::closings
  std::map<std::string, BlobRef> state;    // vectors of the round before
  std::map<std::string, Digest> accepted;  // task -> its update
};

// Of the campaign's last round. `threads` work on it.
FoldWork MakeFoldWork(const Campaign& campaign, const BlobStore& blobs, unsigned threads);

struct FoldOutcome {
  // VersionPublished; or AggregationFailed, after VersionDamaged where it is that; or UpdateDamaged
  // for each update that is not what was accepted, after it was set aside.
  std::vector<Event> events;
  // Files that the event names stay until these go.
  std::vector<BlobHolds::Hold> held;
};

// Reads every file once to see that it is what its name says, then folds. Any thread but the
// engine's.
FoldOutcome Fold(const FoldWork& work, BlobStore& blobs, BlobHolds& holds);

}  // namespace tributary::server
