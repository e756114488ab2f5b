// Everything that can happen to the campaign engine. Events are journaled; what they mean is in
// engine.cc.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>

#include "server/campaign_state.h"

namespace tributary::server {

struct SiteEnrolled {
  std::string site;
  std::string certificate_fingerprint;
};
struct CampaignSubmitted {
  std::string campaign;
  std::string lead;
  std::string yaml;  // effective text
  Digest initial_digest;
  std::uint64_t initial_bytes = 0;
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
struct CampaignResumed {
  std::string campaign;
  std::string by;
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
struct DeadlinePassed {
  std::string campaign;
};

using Event = std::variant<SiteEnrolled, CampaignSubmitted, CampaignAnswered, CampaignPaused,
                           CampaignResumed, CampaignCancelled, UpdateAccepted, TaskFailed,
                           VersionPublished, AggregationFailed, DeadlinePassed>;

// The id of the campaign that the event is about; empty for SiteEnrolled.
std::string CampaignOf(const Event& event);

}  // namespace tributary::server
