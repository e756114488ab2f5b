// What the engine asks the daemon around it to do. Messages to a site that is not connected are
// dropped: Outstanding() repeats them when it comes back.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "core/sha256.h"

namespace tributary::server {

struct OfferCampaign {
  std::string site, campaign;
};
struct CloseCampaign {
  std::string site, campaign;
};
struct AssignTask {
  std::string site, task;
};
struct CancelTask {
  std::string site, task, reason;
};
struct AcknowledgeReport {
  std::string site, task;
  bool accepted = false;
  std::string reason;
  bool counts = false;  // the update is part of its round
};
// Fold the round's accepted updates into the next version, then report VersionPublished or
// AggregationFailed.
struct AggregateRound {
  std::string campaign;
  std::int64_t round = 0;
};
// Report AggregationFailed for a round whose fold has ended the server too often.
struct GiveUpRound {
  std::string campaign;
  std::int64_t round = 0;
  std::string reason;
};
struct RemoveBlobs {
  std::vector<Digest> digests;
};

using Action = std::variant<OfferCampaign, CloseCampaign, AssignTask, CancelTask, AcknowledgeReport,
                            AggregateRound, GiveUpRound, RemoveBlobs>;

}  // namespace tributary::server
