// Which campaigns this site takes part in: offers are checked, answered, kept.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <thread>

#include "client/client_config.h"
#include "client/client_journal.h"
#include "client/site_ledger.h"
#include "client/uplink.h"
#include "core/log_limit.h"
#include "core/mutex.h"
#include "core/status.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::client {

// How long the trainer is asked, on this machine, about one offer and about all of an hour. How
// many offers there are is the server's choice.
struct AskingTime {
  std::chrono::seconds at_once{60};
  std::chrono::nanoseconds in_an_hour{std::chrono::minutes(10)};
};

// Thread-safe. What it borrows outlives it. What the site's file says is checked where an offer
// arrives; what a program must be asked for, on a thread of its own.
class Offers {
 public:
  Offers(const ClientConfig& config, ClientJournal& journal, SiteLedger& ledger, Uplink& uplink,
         LogLimit& log_limit, AskingTime asking = {});
  ~Offers();

  // What the journal holds, checked again.
  Status Load();
  std::map<std::string, v1::CampaignOffer> All();
  std::optional<v1::CampaignOffer> Find(const std::string& campaign);

  // Answers now or later. `sound`: what the check of the message said. True when the campaign was
  // accepted before and is not any more.
  bool Receive(const v1::CampaignOffer& offer, const Status& sound);
  bool AtRest();  // all are answered
  // The campaign ended. False when it is not known.
  bool Close(const std::string& campaign);

 private:
  void AskLoop();
  void DropAsked(const std::string& campaign) TRIBUTARY_REQUIRES(mutex_);
  void Conclude(const v1::CampaignOffer& offer, const Status& verdict);
  void SendAnswer(const v1::CampaignOffer& offer, const Status& status);  // OK: accepted

  const ClientConfig& config_;
  ClientJournal& journal_;
  SiteLedger& ledger_;
  Uplink& uplink_;
  LogLimit& log_limit_;
  const AskingTime asking_;

  Mutex mutex_;
  CondVar changed_;
  std::map<std::string, v1::CampaignOffer> accepted_ TRIBUTARY_GUARDED_BY(mutex_);
  std::map<std::string, v1::CampaignOffer> asked_ TRIBUTARY_GUARDED_BY(mutex_);  // not answered yet
  std::deque<std::string> queue_ TRIBUTARY_GUARDED_BY(mutex_);                   // of asked_
  bool stopping_ TRIBUTARY_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tributary::client
