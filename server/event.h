// Everything that can happen to the campaign engine. Events are journaled; what they mean is in
// engine.cc.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "server/campaign_state.h"

namespace tributary::server {

// 0: journals from before there were rules. 1: failed evaluations are tried again, and a paused
// campaign still closes a round that has every update. 2: no round opens, stays open or closes with
// fewer sites than the aggregator can fold. 3: others take the places of dropped sites in an open
// round of chosen ones.
inline constexpr std::int64_t kCurrentRules = 3;

struct SiteEnrolled {
  std::string site;
  std::string certificate_fingerprint;
};
struct CampaignSubmitted {
  std::string campaign;  // its id: the file's name, or name@2 and so on (CampaignIdFor)
  std::string lead;
  std::string yaml;  // effective text
  Digest initial_digest;
  std::uint64_t initial_bytes = 0;
  // What a campaign does follows from the rules that it was submitted under: a journal of last year
  // folds to the same state under this year's.
  std::int64_t rules = kCurrentRules;
};
struct CampaignAnswered {
  std::string campaign;
  std::string site;
  bool accepted = false;
  std::string reason;
};
struct CampaignPaused {
  std::string campaign;
  std::string by;
};
// Of the open round: the sites in `without` are left out of it; with `again` all others are asked
// for their updates once more.
struct CampaignResumed {
  std::string campaign;
  std::string by;
  std::vector<std::string> without = {};
  bool again = false;
};
// The lead changes a live campaign. What is not named stays as it is.
struct CampaignChanged {
  std::string campaign;
  std::string by;
  std::int64_t rounds = 0;             // 0: as they are
  std::int64_t deadline_seconds = -1;  // of each round, from now for an open one; -1: as it is
  bool start = false;                  // gathering ends with the sites that accepted
  std::vector<std::string> drop = {};  // sites that leave the campaign for good
};
struct CampaignCancelled {
  std::string campaign;
  std::string by;
};
// A valid train update, verified and spooled, or a valid evaluation.
struct UpdateAccepted {
  std::string task;
  ReportFacts facts;
};
// The site reported a failure, or its update was refused.
struct TaskFailed {
  std::string task;
  std::string reason;
  bool refused = false;  // by a rule that would refuse the same bits again
};
struct VersionPublished {
  std::string campaign;
  std::int64_t round = 0;
  Digest digest;
  std::uint64_t bytes = 0;
  std::map<std::string, BlobRef> state = {};  // all that the next round needs
  std::map<std::string, double> numbers = {};
  BlobRef merged = {};
};
struct AggregationFailed {
  std::string campaign;
  std::int64_t round = 0;
  std::string reason;
};
// A fold begins. `tries` counts this one and those before it whose end is not known: the server
// ended meanwhile. One less takes a try back, when the server is stopped in good order.
struct AggregationTried {
  std::string campaign;
  std::int64_t round = 0;
  std::int64_t tries = 0;
};
// What was accepted for the round is not on this server's disk any more as the site sent it.
struct UpdateDamaged {
  std::string task;
  std::string reason;
};
// The file of a version is not on this server's disk any more as it was published.
struct VersionDamaged {
  std::string campaign;
  std::int64_t version = 0;
  std::string reason;
};
// And is again.
struct VersionRestored {
  std::string campaign;
  std::int64_t version = 0;
};
struct DeadlinePassed {
  std::string campaign;
};

using Event = std::variant<SiteEnrolled, CampaignSubmitted, CampaignAnswered, CampaignPaused,
                           CampaignResumed, CampaignCancelled, UpdateAccepted, TaskFailed,
                           VersionPublished, AggregationFailed, DeadlinePassed, AggregationTried,
                           UpdateDamaged, CampaignChanged, VersionDamaged, VersionRestored>;

// The id of the campaign that the event is about; empty for SiteEnrolled.
std::string CampaignOf(const Event& event);

}  // namespace tributary::server
