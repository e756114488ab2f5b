#include "client/offers.h"

#include "client/assignment_check.h"
#include "client/backoff.h"
#include "client/offer_check.h"
#include "client/policy.h"
#include "core/campaign_file.h"
#include "core/log.h"
#include "core/text.h"
#include "core/wire_bounds.h"

namespace tributary::client {
namespace {

constexpr std::size_t kMaxCampaigns = 256;  // at a time: each keeps its offer in memory
constexpr std::chrono::hours kAskedPeriod{1};
constexpr std::chrono::milliseconds kSavePause{2'000}, kLongestPause{60'000};

}  // namespace

Offers::Offers(const ClientConfig& config, ClientJournal& journal, SiteLedger& ledger,
               Uplink& uplink, LogLimit& log_limit, AskingTime asking)
    : config_(config),
      journal_(journal),
      ledger_(ledger),
      uplink_(uplink),
      log_limit_(log_limit),
      asking_(asking),
      thread_([this] { AskLoop(); }) {}

Offers::~Offers() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

// An offer that an earlier version of the daemon took unread may be none.
Status Offers::Load() {
  TRIBUTARY_ASSIGN_OR_RETURN(auto offers, journal_.LoadOffers());
  for (auto it = offers.begin(); it != offers.end();) {
    Status status = CheckCampaignOffer(it->second);
    if (status.ok() && it->first != it->second.campaign()) {
      status = InvalidArgumentError("the offer is of another campaign");
    }
    if (status.ok()) {
      ++it;
      continue;
    }
    LogError("client", "an offer of the journal is dropped",
             {{"campaign", it->first}, {"reason", status}});
    TRIBUTARY_RETURN_IF_ERROR(journal_.RemoveOffer(it->first));
    it = offers.erase(it);
  }
  MutexLock lock(mutex_);
  accepted_ = std::move(offers);
  return OkStatus();
}

std::map<std::string, v1::CampaignOffer> Offers::All() {
  MutexLock lock(mutex_);
  return accepted_;
}

std::optional<v1::CampaignOffer> Offers::Find(const std::string& campaign) {
  MutexLock lock(mutex_);
  const auto it = accepted_.find(campaign);
  return it == accepted_.end() ? std::nullopt : std::optional(it->second);
}

bool Offers::AtRest() {
  MutexLock lock(mutex_);
  return asked_.empty();
}

bool Offers::Receive(const v1::CampaignOffer& offer, const Status& sound) {
  const std::string& campaign = offer.campaign();
  Status status = sound.ok() ? CheckOffer(config_.policy, offer) : sound;
  bool known = false;
  bool asked = false;
  std::size_t others = 0;
  {
    MutexLock lock(mutex_);
    known = accepted_.contains(campaign);
    asked = asked_.contains(campaign);
    others = accepted_.size() + asked_.size();
  }
  if (status.ok() && others >= kMaxCampaigns && !known && !asked) {
    status = ResourceExhaustedError("this site takes part in " + std::to_string(others) +
                                    " campaigns; that is the most at a time");
  }
  // What cannot be run says nothing about tasks that already do.
  if (status.ok() && !known) status = CheckFeasible(config_, ledger_, offer);
  if (!status.ok()) {
    {
      MutexLock lock(mutex_);
      accepted_.erase(campaign);
      DropAsked(campaign);
    }
    // The policy has changed, or the campaign: refused again after a restart.
    if (known) (void)journal_.RemoveOffer(campaign);
    SendAnswer(offer, status);
    return known;
  }
  if (known && journal_.SaveOffer(offer).ok()) {
    {
      MutexLock lock(mutex_);
      accepted_[campaign] = offer;
    }
    SendAnswer(offer, OkStatus());
    return false;
  }
  MutexLock lock(mutex_);
  asked_[campaign] = offer;
  if (!asked) queue_.push_back(campaign);
  changed_.NotifyAll();
  return false;
}

bool Offers::Close(const std::string& campaign) {
  bool known = false;
  {
    MutexLock lock(mutex_);
    known = accepted_.erase(campaign) > 0;
    DropAsked(campaign);
  }
  if (!known) return false;
  if (const Status status = journal_.RemoveOffer(campaign); !status.ok()) {
    LogWarning("client", "an ended campaign stays in the journal", {{"reason", status}});
  }
  return true;
}

void Offers::DropAsked(const std::string& campaign) {
  if (asked_.erase(campaign) > 0) std::erase(queue_, campaign);
}

// One offer after the other: a trainer that is asked for ten campaigns starts ten times, not ten
// times at once, and not without end.
void Offers::AskLoop() {
  using Steady = std::chrono::steady_clock;
  struct Asked {
    Steady::time_point began;
    Steady::duration took;
  };
  std::deque<Asked> asked;  // in the last period
  while (true) {
    v1::CampaignOffer offer;
    {
      MutexLock lock(mutex_);
      while (queue_.empty() && !stopping_) changed_.Wait(mutex_);
      if (stopping_) return;
      while (!asked.empty() && Steady::now() - asked.front().began >= kAskedPeriod) {
        asked.pop_front();
      }
      Steady::duration spent{0};
      for (const Asked& one : asked) spent += one.took;
      if (spent >= asking_.in_an_hour) {
        const auto again = asked.front().began + kAskedPeriod;
        LogWarning(
            "client", "the trainer was asked about offers for long enough: others wait",
            {{"seconds", std::chrono::duration<double>(spent).count()}, {"offers", queue_.size()}});
        while (!stopping_ && changed_.WaitUntil(mutex_, again)) {
        }
        continue;
      }
      offer = asked_.at(queue_.front());
      queue_.pop_front();
    }
    const auto began = Steady::now();
    const Status verdict = AskTrainer(config_, offer, asking_.at_once);
    asked.push_back({began, Steady::now() - began});
    Conclude(offer, verdict);
  }
}

// An acceptance that cannot be journaled (a full disk) is not said: it is tried again.
void Offers::Conclude(const v1::CampaignOffer& offer, const Status& verdict) {
  const std::string& campaign = offer.campaign();
  Backoff backoff(kSavePause, kLongestPause);
  while (verdict.ok()) {
    const Status saved = journal_.SaveOffer(offer);
    if (saved.ok()) break;
    LogError("client", "an offer cannot be journaled; will try again", {{"reason", saved}});
    const auto until = std::chrono::steady_clock::now() + backoff.Next();
    MutexLock lock(mutex_);
    while (!stopping_ && asked_.contains(campaign) && changed_.WaitUntil(mutex_, until)) {
    }
    if (stopping_ || !asked_.contains(campaign)) return;
  }
  bool wanted = false;
  {
    MutexLock lock(mutex_);
    if (stopping_) return;
    wanted = asked_.erase(campaign) > 0;
    if (wanted && verdict.ok()) accepted_[campaign] = offer;
  }
  if (wanted) return SendAnswer(offer, verdict);
  if (verdict.ok()) (void)journal_.RemoveOffer(campaign);
}

void Offers::SendAnswer(const v1::CampaignOffer& offer, const Status& status) {
  log_limit_.Log(
      "answer", LogLevel::kInfo, "client", status.ok() ? "campaign accepted" : "campaign refused",
      {{"campaign", offer.campaign()}, {"lead", offer.lead()}, {"reason", status.message()}});
  v1::ClientMessage message;
  message.mutable_campaign_answer()->set_campaign(offer.campaign());
  message.mutable_campaign_answer()->set_accepted(status.ok());
  message.mutable_campaign_answer()->set_reason(Printable(status.message(), kMaxStatementMessage));
  (void)uplink_.Send(message);
}

}  // namespace tributary::client
