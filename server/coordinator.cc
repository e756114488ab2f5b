#include "server/coordinator.h"

#include <algorithm>
#include <variant>

#include "aggregators/file_round.h"
#include "core/log.h"
#include "core/safetensors.h"
#include "core/text.h"
#include "server/report_check.h"
#include "server/strategy.h"
#include "server/wire.h"

namespace tributary::server {
namespace {

constexpr std::chrono::milliseconds kNotifyInterval{200};
constexpr std::size_t kMaxProgressText = 64;

// Everything a fold needs, copied from the state, so that it can run on another thread.
struct FoldWork {
  std::string campaign;
  AggregatorSection aggregator;
  aggregators::RoundInput input;
  std::string prefix;                    // of the files it makes
  std::map<std::string, BlobRef> state;  // vectors of the round before
};

// Where the files of a fold go. They are held until the engine names them.
struct FoldKeeper {
  BlobStore& blobs;
  BlobHolds& holds;
  std::vector<BlobHolds::Hold> held = {};

  Result<BlobRef> Adopt(const aggregators::RoundOutput::File& file) {
    held.push_back(holds.Take(file.written.digest));
    TRIBUTARY_RETURN_IF_ERROR(blobs.Adopt(file.path, file.written.digest));
    return BlobRef{file.written.digest, file.written.bytes};
  }
};

Result<VersionPublished> FoldAndKeep(const FoldWork& work, FoldKeeper& keeper) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto aggregator, aggregators::MakeAggregator(work.aggregator));
  TRIBUTARY_ASSIGN_OR_RETURN(const aggregators::RoundOutput made,
                             aggregators::FoldRound(*aggregator, work.input,
                                                    keeper.blobs.ScratchDirectory(), work.prefix));
  VersionPublished event{work.campaign, work.input.number, {}, 0, work.state, made.numbers, {}};
  TRIBUTARY_ASSIGN_OR_RETURN(const BlobRef next, keeper.Adopt(made.next));
  event.digest = next.digest;
  event.bytes = next.bytes;
  for (const auto& [name, file] : made.state) {
    TRIBUTARY_ASSIGN_OR_RETURN(event.state[name], keeper.Adopt(file));
  }
  if (made.merged) {
    TRIBUTARY_ASSIGN_OR_RETURN(event.merged, keeper.Adopt(*made.merged));
  }
  if (made.dropped_energy > 0) {
    LogInfo("engine", "ranks were truncated",
            {{"campaign", work.campaign},
             {"round", work.input.number},
             {"dropped_energy", made.dropped_energy}});
  }
  return event;
}

Event Fold(const FoldWork& work, FoldKeeper& keeper) {
  auto published = FoldAndKeep(work, keeper);
  if (published.ok()) return *std::move(published);
  return AggregationFailed{work.campaign, work.input.number, published.status().ToString()};
}

// Versions, what they add to the base weights, and the state vectors that tasks may ask for.
bool IsDownloadable(const Campaign& campaign, const Digest& digest) {
  for (const Version& version : campaign.versions) {
    if (version.digest == digest || version.merged.digest == digest) return true;
  }
  const auto& state = campaign.versions.back().state;
  return std::any_of(state.begin(), state.end(),
                     [&](const auto& entry) { return entry.second.digest == digest; });
}

void LogAction(const Action& action) {
  if (const auto* cancel = std::get_if<CancelTask>(&action)) {
    LogInfo("engine", "task withdrawn",
            {{"task", cancel->task}, {"site", cancel->site}, {"reason", cancel->reason}});
  } else if (const auto* assign = std::get_if<AssignTask>(&action)) {
    LogInfo("engine", "task assigned", {{"task", assign->task}, {"site", assign->site}});
  }
}

}  // namespace

void Coordinator::Perform(const Action& action, const State& state) {
  LogAction(action);
  if (const auto* offer = std::get_if<OfferCampaign>(&action)) {
    const Campaign& campaign = state.campaigns.at(offer->campaign);
    const auto manifest = ManifestOf(campaign);
    if (!manifest.ok()) {
      LogError("engine", "a campaign cannot be offered",
               {{"campaign", campaign.id}, {"error", manifest.status()}});
      return;
    }
    v1::ServerMessage message;
    *message.mutable_campaign_offer() = ToOffer(campaign, *manifest);
    sessions_.Send(offer->site, std::move(message));
  } else if (const auto* close = std::get_if<CloseCampaign>(&action)) {
    v1::ServerMessage message;
    message.mutable_campaign_closed()->set_campaign(close->campaign);
    message.mutable_campaign_closed()->set_state(
        std::string(CampaignPhaseName(state.campaigns.at(close->campaign).phase)));
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
    {
      MutexLock lock(mutex_);
      progress_.erase(ProgressKey(cancel->site, cancel->task));
    }
    sessions_.Send(cancel->site, std::move(message));
  } else if (const auto* ack = std::get_if<AcknowledgeReport>(&action)) {
    SendAck(*ack);
  } else if (const auto* aggregate = std::get_if<AggregateRound>(&action)) {
    Aggregate(*aggregate, state);
  } else if (const auto* remove = std::get_if<RemoveBlobs>(&action)) {
    Remove(*remove, state);
  }
}

// Out of the store before anything else happens on the engine's thread: a report with the same
// digest that comes next finds that its blob is gone, and the site sends it again.
void Coordinator::Remove(const RemoveBlobs& action, const State& state) {
  const std::set<Digest> referenced = ReferencedBlobs(state);
  std::vector<std::string> removed;
  for (const Digest& digest : action.digests) {
    if (referenced.contains(digest)) continue;
    holds_.UnlessHeld(digest, [&] {
      auto path = blobs_.SetAside(digest);
      if (path.ok()) {
        removed.push_back(*std::move(path));
      } else if (path.status().code() != StatusCode::kNotFound) {
        LogWarning("engine", "a blob stays on disk", {{"error", path.status()}});
      }
    });
  }
  if (removed.empty()) return;
  workers_.Submit([removed = std::move(removed)] {
    for (const std::string& path : removed) {
      if (const Status status = RemoveFile(path); !status.ok()) {
        LogWarning("engine", "a blob stays on disk", {{"error", status}});
      }
    }
  });
}

void Coordinator::Aggregate(const AggregateRound& action, const State& state) {
  if (!aggregating_.emplace(action.campaign, action.round).second) return;  // under way
  const Campaign& campaign = state.campaigns.at(action.campaign);
  const Version& base = campaign.versions.back();
  FoldWork work{campaign.id,
                campaign.file.aggregator,
                {},
                campaign.id + "-r" + std::to_string(action.round) + "-",
                base.state};
  work.input.number = action.round;
  work.input.seed = static_cast<std::uint64_t>(campaign.file.seed);
  for (const auto& [site, answer] : campaign.answers) {
    work.input.registered_sites += answer.kind == SiteAnswer::Kind::kAccepted ? 1 : 0;
  }
  if (campaign.file.adapter.kind == "lora") {
    work.input.lora_scale = campaign.file.ToAdapterConfig().Scale();
  }
  work.input.global_path = blobs_.PathOf(base.digest);
  for (const auto& [name, blob] : base.state) {
    work.input.state[name] = blobs_.PathOf(blob.digest);
  }
  work.input.numbers = base.numbers;
  for (const server::Task* task : AcceptedTasks(campaign, campaign.rounds.back())) {
    work.input.updates.push_back(
        {ContributionOf(campaign, *task), blobs_.PathOf(task->facts.digest)});
  }
  LogInfo("engine", "round closed",
          {{"campaign", action.campaign},
           {"round", action.round},
           {"updates", work.input.updates.size()}});
  workers_.Submit([this, work = std::move(work)] {
    FoldKeeper keeper{blobs_, holds_};
    Event event = Fold(work, keeper);
    if (const auto* failed = std::get_if<AggregationFailed>(&event)) {
      LogError(
          "engine", "a round could not be aggregated",
          {{"campaign", failed->campaign}, {"round", failed->round}, {"reason", failed->reason}});
    }
    // Answered before any action of the same batch: a resume may order the same fold again.
    runner_->PostUntilDurable(std::move(event),
                              [this, key = std::pair(work.campaign, work.input.number),
                               held = std::move(keeper.held)] { aggregating_.erase(key); });
  });
}

Result<Manifest> Coordinator::ManifestOf(const Campaign& campaign) {
  const auto it = manifests_.find(campaign.id);
  if (it != manifests_.end()) return it->second;
  TRIBUTARY_ASSIGN_OR_RETURN(const auto file,
                             SafetensorsFile::Open(blobs_.PathOf(campaign.versions[0].digest)));
  return manifests_[campaign.id] = file.ToManifest();
}

void Coordinator::SendAck(const AcknowledgeReport& ack, bool resend) {
  if (!resend) {
    MutexLock lock(mutex_);
    progress_.erase(ProgressKey(ack.site, ack.task));
  }
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
    for (const std::string& id : known) {
      const auto verdict = VerdictOf(state, site, id);
      if (!verdict) continue;
      if (verdict->accepted) {
        Perform(*verdict, state);
      } else {
        Perform(CancelTask{site, id, verdict->reason}, state);
      }
    }
    for (const Action& action : Outstanding(state, site)) Perform(action, state);
  });
}

void Coordinator::HandleMessage(const std::string& site, const std::string& certificate_pem,
                                v1::ClientMessage message) {
  sessions_.Touch(site, clock_.Now());
  switch (message.kind_case()) {
    case v1::ClientMessage::kHeartbeat: {
      v1::ServerMessage answer;
      answer.mutable_heartbeat()->set_sent_at_us(ToMicros(clock_.Now()));
      return sessions_.Send(site, std::move(answer));
    }
    case v1::ClientMessage::kCampaignAnswer: {
      const v1::CampaignAnswer& answer = message.campaign_answer();
      LogInfo("engine", answer.accepted() ? "campaign accepted" : "campaign refused",
              {{"campaign", answer.campaign()}, {"site", site}, {"reason", answer.reason()}});
      return runner_->PostUntilDurable(CampaignAnswered{answer.campaign(), site, answer.accepted(),
                                                        Excerpt(answer.reason(), 500)});
    }
    case v1::ClientMessage::kProgress: {
      MutexLock lock(mutex_);
      if (progress_.size() < 100'000) {
        v1::TaskProgress& progress = progress_[ProgressKey(site, message.progress().task())];
        progress = message.progress();
        progress.set_phase(Excerpt(progress.phase(), kMaxProgressText));
        progress.set_job(Excerpt(progress.job(), kMaxProgressText));
        progress.set_message(Excerpt(progress.message(), kMaxProgressText));
        progress_changed_ = true;
      }
      return;
    }
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
  if (const auto verdict = VerdictOf(state, site, report.task())) return SendAck(*verdict);
  v1::Statement statement;  // not believed yet: only its digest is kept from removal meanwhile
  if (!statement.ParseFromString(report.statement())) statement.Clear();
  const auto digest = Digest::FromHex(statement.digest());
  // A report that is repeated while it is judged is dropped.
  if (judging_.contains(report.task())) return;
  judging_[report.task()] = holds_.Take(digest.ok() ? *digest : Digest{});
  ExpectedReport expected{*state.FindTask(report.task()), {}, {}, 0, 0};
  const Campaign& campaign = state.campaigns.at(expected.task.campaign);
  expected.directive = DirectiveFor(campaign, expected.task);
  expected.site_rank = SiteRank(campaign.file, expected.task.site);
  expected.max_update_norm = campaign.file.aggregator.max_update_norm;
  expected.global_digest =
      campaign.versions[static_cast<std::size_t>(expected.task.base_version)].digest;
  workers_.Submit(
      [this, site, certificate_pem, report = std::move(report), expected = std::move(expected)] {
        auto outcome = CheckReport(report, site, certificate_pem, expected, blobs_);
        if (!outcome.ok()) {
          LogWarning("engine", "a report cannot be judged now; the site will repeat it",
                     {{"task", report.task()}, {"error", outcome.status()}});
          return DoneJudging(report.task());
        }
        if (std::holds_alternative<Resend>(*outcome)) {
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
            if (const auto verdict = VerdictOf(now, site, task)) SendAck(*verdict);
          });
        });
      });
}

void Coordinator::DoneJudging(const std::string& task) {
  runner_->Read([this, task](const State&) { judging_.erase(task); });
}

std::map<std::string, v1::TaskProgress> Coordinator::Progress() const {
  MutexLock lock(mutex_);
  return progress_;
}

void Coordinator::Watch(std::shared_ptr<Watcher> watcher) {
  runner_->Read([this, watcher](const State& state) {
    const Campaign* campaign = state.FindCampaign(watcher->campaign);
    if (campaign == nullptr) return;  // the caller checked; campaigns are never removed
    watcher->notify(ToStatus(*campaign, Progress()), campaign->ended());
    if (campaign->ended()) return;
    MutexLock lock(mutex_);
    watchers_.push_back(watcher);
  });
}

void Coordinator::Tick(const State& state, bool changed) {
  std::vector<std::shared_ptr<Watcher>> live;
  std::map<std::string, v1::TaskProgress> progress;
  {
    MutexLock lock(mutex_);
    notify_due_ = notify_due_ || changed || progress_changed_;
    const Timestamp now = clock_.Now();
    if (!notify_due_ || watchers_.empty() || now - last_notify_ < kNotifyInterval) return;
    last_notify_ = now;
    notify_due_ = progress_changed_ = false;
    std::erase_if(watchers_, [&](const std::weak_ptr<Watcher>& weak) {
      if (auto watcher = weak.lock()) {
        live.push_back(std::move(watcher));
        return state.FindCampaign(live.back()->campaign)->ended();
      }
      return true;
    });
    progress = progress_;
  }
  for (const auto& watcher : live) {
    const Campaign* campaign = state.FindCampaign(watcher->campaign);
    watcher->notify(ToStatus(*campaign, progress), campaign->ended());
  }
}

void Coordinator::AuthorizeBlob(const security::Identity& who, const Digest& digest, BlobUse use,
                                const std::string& task_id, std::function<void(Status)> answer) {
  runner_->Read([=, answer = std::move(answer)](const State& state) {
    const bool person = who.role == security::Role::kLead || who.role == security::Role::kAdmin;
    if (use == BlobUse::kWrite) {
      if (person && task_id.empty()) return answer(OkStatus());
      const Task* task = state.FindTask(task_id);
      if (task != nullptr && task->site == who.name && who.role == security::Role::kSite &&
          task->kind == TaskKind::kTrain && task->phase == TaskPhase::kOutstanding) {
        return answer(OkStatus());
      }
      return answer(PermissionDeniedError("no open task \"" + Excerpt(task_id) +
                                          "\" of this site asks for an upload"));
    }
    for (const auto& [id, campaign] : state.campaigns) {
      const bool member = who.role == security::Role::kSite && campaign.answers.contains(who.name);
      if (!person && !member) continue;
      if (IsDownloadable(campaign, digest)) return answer(OkStatus());
    }
    answer(PermissionDeniedError("no campaign of yours has this blob as a version"));
  });
}

}  // namespace tributary::server
