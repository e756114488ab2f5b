#include "server/coordinator.h"

#include <algorithm>
#include <future>
#include <variant>

#include "core/catch_all.h"
#include "core/log.h"
#include "core/safetensors.h"
#include "core/text.h"
#include "proto/campaign_changes.h"
#include "server/fold.h"
#include "server/message_check.h"
#include "server/report_check.h"
#include "server/strategy.h"
#include "server/wire.h"

namespace tributary::server {
namespace {

constexpr std::chrono::milliseconds kNotifyInterval{200};
constexpr std::int64_t kWatchedUpdates = 2000;  // of the rounds that a watch begins with, or so
constexpr std::chrono::minutes kReminderPause{1};

// CheckReport with a bound on what a report can do to this server.
Result<std::variant<Event, Resend>> Judge(const v1::TaskReport& report, const std::string& site,
                                          const std::string& certificate_pem,
                                          const ExpectedReport& expected, const BlobStore& blobs) {
  auto outcome = Result<std::variant<Event, Resend>>(InternalError("not judged"));
  const Status status = CatchAll("the check of a report", [&] {
    outcome = CheckReport(report, site, certificate_pem, expected, blobs);
    return OkStatus();
  });
  if (!status.ok()) return status;
  return outcome;
}

void LogAction(const Action& action, LogLimit& limit) {
  if (const auto* cancel = std::get_if<CancelTask>(&action)) {
    limit.Log("withdrawn " + cancel->site, LogLevel::kInfo, "engine", "task withdrawn",
              {{"task", cancel->task}, {"site", cancel->site}, {"reason", cancel->reason}});
  } else if (const auto* assign = std::get_if<AssignTask>(&action)) {
    LogInfo("engine", "task assigned", {{"task", assign->task}, {"site", assign->site}});
  }
}

}  // namespace

void Coordinator::Perform(const Action& action, const State& state) {
  LogAction(action, log_limit_);
  Do(action, state);
}

void Coordinator::Do(const Action& action, const State& state) {
  if (const auto* offer = std::get_if<OfferCampaign>(&action)) {
    const Campaign& campaign = state.campaigns.at(offer->campaign);
    const auto manifest = ManifestOf(campaign);
    if (!manifest.ok()) {
      LogError("engine", "a campaign cannot be offered",
               {{"campaign", campaign.id}, {"error", manifest.status()}});
      return;
    }
    v1::ServerMessage message;
    *message.mutable_campaign_offer() = ToOffer(campaign, **manifest);
    sessions_.Send(offer->site, std::move(message));
  } else if (const auto* close = std::get_if<CloseCampaign>(&action)) {
    v1::ServerMessage message;
    message.mutable_campaign_closed()->set_campaign(close->campaign);
    const Campaign& campaign = state.campaigns.at(close->campaign);
    message.mutable_campaign_closed()->set_state(
        campaign.ended() ? std::string(CampaignPhaseName(campaign.phase)) : "dropped by its lead");
    sessions_.Send(close->site, std::move(message));
  } else if (const auto* assign = std::get_if<AssignTask>(&action)) {
    const Task* task = state.FindTask(assign->task);
    v1::ServerMessage message;
    *message.mutable_task() = ToAssignment(state.campaigns.at(task->campaign), *task);
    sessions_.Send(assign->site, std::move(message));
  } else if (const auto* cancel = std::get_if<CancelTask>(&action)) {
    v1::ServerMessage message;
    message.mutable_cancel()->set_task(cancel->task);
    message.mutable_cancel()->set_reason(cancel->reason);
    progress_.Erase(cancel->site, cancel->task);
    sessions_.Send(cancel->site, std::move(message));
  } else if (const auto* ack = std::get_if<AcknowledgeReport>(&action)) {
    SendAck(*ack);
  } else if (const auto* aggregate = std::get_if<AggregateRound>(&action)) {
    Aggregate(*aggregate, state);
  } else if (const auto* given_up = std::get_if<GiveUpRound>(&action)) {
    LogError("engine", "a round is given up",
             {{"campaign", given_up->campaign},
              {"round", given_up->round},
              {"reason", given_up->reason}});
    runner_->PostUntilDurable(
        AggregationFailed{given_up->campaign, given_up->round, given_up->reason});
  } else if (const auto* remove = std::get_if<RemoveBlobs>(&action)) {
    Remove(*remove, state);
  }
}

// Out of the store before anything else happens on the engine's thread: a report with the same
// digest that comes next finds that its blob is gone, and the site sends it again.
void Coordinator::Remove(const RemoveBlobs& action, const State& state) {
  const std::set<Digest> referenced = ReferencedBlobs(state, limits_.keep);
  std::vector<std::string> removed;
  for (const Digest& digest : action.digests) {
    if (referenced.contains(digest)) continue;
    holds_.UnlessHeld(digest, [&] {
      auto path = blobs_.SetAside(digest);
      if (path.ok() || path.status().code() == StatusCode::kNotFound) NoteSent(digest, false);
      if (path.ok()) {
        removed.push_back(*std::move(path));
      } else if (path.status().code() != StatusCode::kNotFound) {
        LogWarning("engine", "a blob stays on disk", {{"error", path.status()}});
      }
    });
  }
  if (removed.empty()) return;
  LogInfo("engine", "blobs removed", {{"count", removed.size()}});
  lanes_.checks.Submit([removed = std::move(removed)] {
    for (const std::string& path : removed) {
      if (const Status status = RemoveFile(path); !status.ok()) {
        LogWarning("engine", "a blob stays on disk", {{"error", status}});
      }
    }
  });
}

void Coordinator::Aggregate(const AggregateRound& action, const State& state) {
  const Campaign& campaign = state.campaigns.at(action.campaign);
  // An event of the same batch may have opened the round again, or ended the campaign.
  const bool closed = campaign.phase == CampaignPhase::kAggregating &&
                      campaign.rounds.back().number == action.round;
  const std::int64_t closing = closed ? campaign.rounds.back().closings : 0;
  const FoldKey key(action.campaign, action.round, closing);
  if (!closed || aggregating_.contains(key)) return;
  const std::int64_t number = ++folds_;
  aggregating_[key] = number;
  auto work = std::make_shared<FoldWork>(MakeFoldWork(campaign, blobs_, limits_.fold_threads));
  work->input.stop = &stopping_;
  LogInfo("engine", "round closed",
          {{"campaign", action.campaign},
           {"round", action.round},
           {"updates", work->input.updates.size()}});
  // Told to the journal first: a fold that ends the server must not be begun for ever.
  runner_->PostUntilDurable(AggregationTried{action.campaign, action.round,
                                             campaign.rounds.back().fold_tries + 1, closing},
                            [this, work, key, number](const Status& status) {
                              if (!status.ok()) return EndFold(key, number);
                              lanes_.folds.Submit([this, work, number] { RunFold(*work, number); });
                            });
}

void Coordinator::RunFold(const FoldWork& work, std::int64_t number) {
  if (stopping_) return;
  auto outcome = Fold(work, blobs_, holds_);
  if (stopping_) return;  // it may have failed for that
  // Answered before any action of the same batch: a resume may order the same fold again. What else
  // this one has to say must not end that.
  const auto ended = [this, key = FoldKey(work.campaign, work.input.number, work.closing), number,
                      held = std::move(outcome.held)](const Status&) { EndFold(key, number); };
  for (Event& event : outcome.events) runner_->PostUntilDurable(std::move(event), ended);
}

void Coordinator::EndFold(const FoldKey& key, std::int64_t number) {
  const auto it = aggregating_.find(key);
  if (it != aggregating_.end() && it->second == number) aggregating_.erase(it);
}

void Coordinator::NoteStop() {
  stopping_ = true;
  std::promise<void> noted;
  runner_->Read([this](const State& state) {
    for (const auto& [key, number] : aggregating_) {
      const auto& [id, round, closing] = key;
      const std::int64_t tries = state.campaigns.at(id).rounds.back().fold_tries;
      if (tries > 0) runner_->Post(AggregationTried{id, round, tries - 1, closing}, nullptr);
    }
  });
  runner_->Read([&](const State&) { noted.set_value(); });
  noted.get_future().wait();
}

Status Coordinator::LoadManifest(const Digest& initial) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto file,
                             SafetensorsFile::Open(blobs_.PathOf(initial), OnDamage::kReport));
  auto manifest = std::make_shared<const Manifest>(file.ToManifest());
  MutexLock lock(mutex_);
  manifests_[initial] = std::move(manifest);
  return OkStatus();
}

void Coordinator::LoadManifests(const State& state) {
  for (const auto& [id, campaign] : state.campaigns) {
    if (campaign.ended()) continue;
    if (const Status status = LoadManifest(campaign.versions[0].digest); !status.ok()) {
      LogError("engine", "a campaign cannot be offered", {{"campaign", id}, {"error", status}});
    }
  }
}

Result<std::shared_ptr<const Manifest>> Coordinator::ManifestOf(const Campaign& campaign) {
  const Digest& initial = campaign.versions[0].digest;
  {
    MutexLock lock(mutex_);
    const auto it = manifests_.find(initial);
    if (it != manifests_.end()) return it->second;
  }
  TRIBUTARY_RETURN_IF_ERROR(LoadManifest(initial));
  MutexLock lock(mutex_);
  return manifests_[initial];
}

void Coordinator::SendAck(const AcknowledgeReport& ack, bool resend) {
  if (!resend) progress_.Erase(ack.site, ack.task);
  v1::ServerMessage message;
  message.mutable_report_ack()->set_task(ack.task);
  message.mutable_report_ack()->set_accepted(ack.accepted);
  message.mutable_report_ack()->set_reason(ack.reason);
  message.mutable_report_ack()->set_resend(resend);
  message.mutable_report_ack()->set_counts(ack.counts);
  sessions_.Send(ack.site, std::move(message));
}

void Coordinator::SiteConnected(const std::string& site, std::vector<std::string> known) {
  runner_->Read([this, site, known = std::move(known)](const State& state) {
    if (!state.sites.contains(site)) {
      log_limit_.Log("unknown " + site, LogLevel::kWarning, "engine",
                     "a site has a valid certificate, but the journal does not know it; is "
                     "data_dir the right one?",
                     {{"site", site}});
    }
    for (const std::string& id : known) {
      Judged(state, site, id, [this, site](const AcknowledgeReport& verdict, const State& now) {
        TellSite(site, verdict, now);
      });
    }
    for (const Action& action : Outstanding(state, site)) Perform(action, state);
  });
}

// Whether the task is settled; then the verdict goes to `tell`, at once or when it has been read.
bool Coordinator::Judged(const State& state, const std::string& site, const std::string& task,
                         const CampaignHistory::Judged& tell) {
  if (PastRoundOf(state, task)) {
    history_.Judge(state, site, task, tell);
    return true;
  }
  const auto verdict = VerdictOf(state, site, task);
  if (verdict) tell(*verdict, state);
  return verdict.has_value();
}

// What became of a task that it works on.
void Coordinator::TellSite(const std::string& site, const AcknowledgeReport& verdict,
                           const State& state) {
  if (verdict.accepted) {
    Perform(verdict, state);
  } else {
    Perform(CancelTask{site, verdict.task, verdict.reason}, state);
  }
}

void Coordinator::HandleMessage(const std::string& site, const std::string& certificate_pem,
                                v1::ClientMessage message) {
  switch (message.kind_case()) {
    case v1::ClientMessage::kHeartbeat: {
      v1::ServerMessage answer;
      answer.mutable_heartbeat()->set_sent_at_us(ToMicros(clock_.Now()));
      return sessions_.Send(site, std::move(answer));
    }
    case v1::ClientMessage::kCampaignAnswer: {
      const v1::CampaignAnswer& answer = message.campaign_answer();
      log_limit_.Log(
          "answer " + site, LogLevel::kInfo, "engine",
          answer.accepted() ? "campaign accepted" : "campaign refused",
          {{"campaign", answer.campaign()}, {"site", site}, {"reason", answer.reason()}});
      return runner_->PostUntilDurable(
          CampaignAnswered{answer.campaign(), site, answer.accepted(), answer.reason()});
    }
    case v1::ClientMessage::kProgress:
      return progress_.Put(site, std::move(*message.mutable_progress()));
    case v1::ClientMessage::kFacts:
      return sessions_.SetFacts(site, std::move(*message.mutable_facts()));
    case v1::ClientMessage::kReport:
      return HandleReport(site, certificate_pem, std::move(*message.mutable_report()));
    default:
      return;  // a newer client may say more than we understand
  }
}

void Coordinator::HandleReport(const std::string& site, const std::string& certificate_pem,
                               v1::TaskReport report) {
  runner_->Read([this, site, certificate_pem, report = std::move(report)](const State& state) {
    JudgeReport(site, certificate_pem, report, state);
  });
}

void Coordinator::JudgeReport(const std::string& site, const std::string& certificate_pem,
                              v1::TaskReport report, const State& state) {
  const bool settled =
      Judged(state, site, report.task(),
             [this](const AcknowledgeReport& verdict, const State&) { SendAck(verdict); });
  if (settled) return;
  // Not believed yet: only its digest is kept from removal meanwhile.
  const auto statement = ReadStatement(report.statement());
  const auto digest = Digest::FromHex(statement.ok() ? statement->digest() : "");
  // A report that is repeated while it is judged is dropped.
  if (judging_.contains(report.task())) return;
  judging_[report.task()] = holds_.Take(digest.ok() ? *digest : Digest{});
  ExpectedReport expected{*state.FindTask(report.task()), {}, {}, 0, 0};
  const Campaign& campaign = state.campaigns.at(expected.task.campaign);
  expected.directive = DirectiveFor(campaign, expected.task);
  expected.site_rank = SiteRank(campaign.file, expected.task.site);
  expected.max_update_norm = campaign.file.aggregator.max_update_norm;
  // What it looks like: where the base's file is lost, another version's tells.
  const Version& base = campaign.versions[static_cast<std::size_t>(expected.task.base_version)];
  expected.global_digest = base.damage.empty() ? base.digest : campaign.versions.back().digest;
  lanes_.checks.Submit(
      [this, site, certificate_pem, report = std::move(report), expected = std::move(expected)] {
        auto outcome = Judge(report, site, certificate_pem, expected, blobs_);
        if (!outcome.ok()) {
          log_limit_.Log("unjudged " + site, LogLevel::kWarning, "engine",
                         "a report cannot be judged now; the site will repeat it",
                         {{"task", report.task()}, {"error", outcome.status()}});
          return DoneJudging(report.task());
        }
        if (const auto* resend = std::get_if<Resend>(&*outcome)) {
          if (resend->damaged) SetDamagedAside(site, *resend->damaged);
          DoneJudging(report.task());
          return SendAck({site, report.task(), false, "", false}, /*resend=*/true);
        }
        Event event = std::get<Event>(std::move(*outcome));
        if (const auto* failed = std::get_if<TaskFailed>(&event)) {
          LogWarning("engine", "task failed",
                     {{"task", failed->task}, {"site", site}, {"reason", failed->reason}});
        } else {
          LogInfo("engine", "update accepted", {{"task", report.task()}, {"site", site}});
        }
        runner_->Post(std::move(event), [this, site, task = report.task()](const Status& status) {
          judging_.erase(task);
          if (status.ok()) return;  // the engine acknowledged it
          // The round closed meanwhile, or the report came twice: say what became of the task.
          runner_->Read([this, site, task](const State& now) {
            Judged(now, site, task,
                   [this](const AcknowledgeReport& verdict, const State&) { SendAck(verdict); });
          });
        });
      });
}

void Coordinator::SetDamagedAside(const std::string& site, const Digest& digest) {
  log_limit_.Log("set aside " + site, LogLevel::kError, "engine",
                 "an update cannot be read; the site is asked for it again",
                 {{"site", site}, {"blob", digest.ToHex()}});
  if (const Status aside = blobs_.Quarantine(digest); !aside.ok()) {
    LogError("engine", "a damaged blob stays", {{"error", aside}});
  }
  NoteSent(digest, false);
}

void Coordinator::DoneJudging(const std::string& task) {
  runner_->Read([this, task](const State&) { judging_.erase(task); });
}

v1::CampaignStatus Coordinator::StatusOf(const Campaign& campaign) const {
  v1::CampaignStatus status = ToStatus(campaign, progress_.Of(campaign.id));
  const std::set<std::int64_t> kept = KeptVersions(campaign, limits_.keep);
  for (v1::VersionInfo& version : *status.mutable_versions()) {
    version.set_removed(!kept.contains(version.version()));
  }
  if (campaign.ended()) return status;
  for (v1::SiteAnswer& answer : *status.mutable_answers()) {
    const SessionInfo session = sessions_.Info(answer.site());
    answer.set_visit_seconds(static_cast<std::uint32_t>(session.visits.count()));
    if (session.connected || answer.answer() == "dropped") continue;
    answer.set_away(session.Away(clock_.Now()));
    answer.set_last_seen_us(ToMicros(session.last_seen));
  }
  return status;
}

// One answer is enough of a history for those who watch: who wants more asks for it.
void Coordinator::Watch(std::shared_ptr<Watcher> watcher) {
  runner_->Read([this, watcher](const State& state) {
    const Campaign* campaign = state.FindCampaign(watcher->campaign);
    if (campaign == nullptr) {
      return watcher->notify(NotFoundError("campaign " + watcher->campaign + " is not known"),
                             true);
    }
    const auto sites =
        std::max<std::int64_t>(static_cast<std::int64_t>(campaign->answers.size()), 1);
    const auto last = static_cast<std::int64_t>(campaign->rounds.size());
    const std::int64_t from = std::max(watcher->rounds_from, last - kWatchedUpdates / sites);
    history_.Describe(
        state, watcher->campaign, {std::max<std::int64_t>(from, 1), 0},
        [this, weak = std::weak_ptr(watcher)](const Result<v1::CampaignStatus>& status,
                                              const State& now) {
          const auto target = weak.lock();
          if (!target) return;
          const bool ended = now.campaigns.at(target->campaign).ended();
          target->notify(status, ended || !status.ok());
          if (ended || !status.ok()) return;
          if (!target->changes) target->whole = *status;
          watchers_.push_back(target);
        },
        [weak = std::weak_ptr(watcher)] { return !weak.expired(); });
  });
}

// A site whose disk was full does not ask for what it could not store.
void Coordinator::Remind(const State& state) {
  if (clock_.Elapsed() - reminded_ < kReminderPause) return;
  reminded_ = clock_.Elapsed();
  for (const std::string& site : sessions_.Connected()) {
    for (const Action& action : Reminders(state, site, progress_.TasksOf(site))) Do(action, state);
  }
}

void Coordinator::Tick(const State& state, bool changed) {
  Remind(state);
  notify_due_ = progress_.TakeChanged() || notify_due_ || changed;
  const auto now = clock_.Elapsed();
  if (!notify_due_ || watchers_.empty() || now - notified_ < kNotifyInterval) return;
  notified_ = now;
  notify_due_ = false;
  TellWatchers(state);
}

// Each campaign is described once, however many follow it. One who is new hears all of it once
// more: it may know what the others do not.
void Coordinator::TellWatchers(const State& state) {
  std::map<std::string, v1::CampaignStatus> changes;
  std::map<std::string, v1::CampaignStatus> told;
  std::erase_if(watchers_, [&](const std::weak_ptr<Watcher>& weak) {
    const auto watcher = weak.lock();
    if (!watcher) return true;
    const Campaign& campaign = state.campaigns.at(watcher->campaign);
    const auto [now, first] = told.try_emplace(campaign.id);
    if (first) {
      now->second = StatusOf(campaign);
      now->second.set_changes(true);
      const auto before = told_.find(campaign.id);
      if (before != told_.end()) {
        changes[campaign.id] = ChangesBetween(before->second, now->second);
      }
    }
    const v1::CampaignStatus& change =
        watcher->is_new || !told_.contains(campaign.id) ? now->second : changes[campaign.id];
    watcher->is_new = false;
    if (watcher->changes) {
      watcher->notify(change, campaign.ended());
    } else {
      MergeChanges(change, &watcher->whole);
      watcher->notify(watcher->whole, campaign.ended());
    }
    return campaign.ended();
  });
  told_ = std::move(told);
}

}  // namespace tributary::server
