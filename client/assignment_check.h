// The one door for what comes from the server: each message is checked whole before anything of it
// is stored, logged, used as a path, a size or a counter. A server that was taken over may say
// anything. Texts for people are not judged here: they are escaped and cut where they are shown.
#pragma once

#include "client/client_journal.h"
#include "core/status.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::client {

// Of one campaign. An honest server is far below.
inline constexpr int kMaxTensors = 200'000;
inline constexpr int kMaxMergedProducts = 1'000'000;

// Each is OK or invalid argument: which field, what it is, what it must be.
Status CheckServerMessage(const v1::ServerMessage& message);  // whichever it is
Status CheckWelcome(const v1::Welcome& welcome);
Status CheckCampaignOffer(const v1::CampaignOffer& offer);
Status CheckTaskAssignment(const v1::TaskAssignment& task);

// What the task downloads is no more than what the offer announced: versions and server states of
// the adapter's size, and one product for each version at most.
Status CheckDownloads(const v1::CampaignOffer& offer, const v1::TaskAssignment& task);

// Enough of an assignment is sound to answer it with a refusal: task, campaign and kind.
Status CheckTaskNames(const v1::TaskAssignment& task);

// A record of the journal is data from the server too, of an earlier life of the daemon.
Status CheckTaskRecord(const TaskRecord& record);

}  // namespace tributary::client
