#include "server/control_service.h"

#include "core/log.h"
#include "core/text.h"
#include "proto/campaign_changes.h"
#include "server/audit_stream.h"
#include "server/blob_access.h"
#include "server/caller.h"
#include "server/stream_writer.h"
#include "server/submission.h"
#include "server/wire.h"

namespace tributary::server {
namespace {

using security::Role;

Status UnknownCampaign(const State& state, const std::string& id) {
  std::vector<std::string> names;
  for (const auto& [name, campaign] : state.campaigns) names.push_back(name);
  std::string message = "campaign \"" + Excerpt(id) + "\" is not known";
  if (const auto near = NearestName(id, names)) message += "; did you mean " + *near + "?";
  return NotFoundError(std::move(message));
}

Status TooManyStreams(const char* call, int most) {
  return ResourceExhaustedError("this member has " + std::to_string(most) + " calls of " + call +
                                " open; end one of them first");
}

Status CheckRange(const RoundRange& range) {
  if (range.from >= 0 && range.to >= 0 && (range.to == 0 || range.from <= range.to)) {
    return OkStatus();
  }
  return InvalidArgumentError("rounds " + std::to_string(range.from) + " to " +
                              std::to_string(range.to) +
                              ": must be counted from 1, the first one not after the last");
}

// Statuses to one person who watches; deletes itself when the call is over.
class WatchReactor final : public grpc::ServerWriteReactor<v1::CampaignStatus> {
 public:
  using Writer = StreamWriter<grpc::ServerWriteReactor<v1::CampaignStatus>, v1::CampaignStatus>;

  WatchReactor() : writer_(std::make_shared<Writer>(this, /*longest=*/1)) {}
  const std::shared_ptr<Writer>& writer() const { return writer_; }
  void OnWriteDone(bool ok) override { writer_->WriteDone(ok); }
  void OnCancel() override { writer_->End(CancelledError("the watcher went away")); }
  void OnDone() override { delete this; }
  std::vector<std::shared_ptr<void>> keep_alive;  // what ends with the stream

 private:
  const std::shared_ptr<Writer> writer_;
};

}  // namespace

ControlService::Unary* ControlService::Validate(Context* context, const v1::SubmitRequest* request,
                                                v1::ValidateResponse* response) {
  Unary* reactor = context->DefaultReactor();
  const auto who = Authorize(*context, parts_.federation, "Validate", {Role::kLead, Role::kAdmin});
  if (!who.ok()) {
    reactor->Finish(ToGrpc(who.status()));
    return reactor;
  }
  const auto file = CheckCampaignText(request->yaml(), request->file_name());
  if (!file.ok()) {
    reactor->Finish(ToGrpc(file.status()));
    return reactor;
  }
  response->set_effective_yaml(PrintYaml(*file));
  parts_.runner.Read(
      [reactor,
       event = CampaignSubmitted{file->name, who->name, response->effective_yaml(), {}, 0}](
          const State& state) mutable {
        event.campaign = CampaignIdFor(state, event.campaign);
        reactor->Finish(ToGrpc(server::Check(state, Event(event))));
      });
  return reactor;
}

ControlService::Unary* ControlService::Submit(Context* context, const v1::SubmitRequest* request,
                                              v1::SubmitResponse* response) {
  Unary* reactor = context->DefaultReactor();
  const auto who = Authorize(*context, parts_.federation, "Submit", {Role::kLead, Role::kAdmin});
  if (!who.ok()) {
    reactor->Finish(ToGrpc(who.status()));
    return reactor;
  }
  const Status taken = parts_.workers.TrySubmit([this, reactor, request, response,
                                                 lead = who->name] {
    BlobHolds::Hold held;  // the initial adapter, until the campaign names it
    const auto prepare = [&]() -> Result<CampaignSubmitted> {
      TRIBUTARY_ASSIGN_OR_RETURN(const CampaignFile file,
                                 CheckCampaignText(request->yaml(), request->file_name()));
      TRIBUTARY_ASSIGN_OR_RETURN(const Digest digest, Digest::FromHex(request->initial_digest()));
      held = parts_.coordinator.holds().Take(digest);
      TRIBUTARY_RETURN_IF_ERROR(CheckInitialAdapter(parts_.blobs, digest, file));
      TRIBUTARY_RETURN_IF_ERROR(parts_.coordinator.LoadManifest(digest));
      TRIBUTARY_ASSIGN_OR_RETURN(const std::uint64_t bytes, parts_.blobs.SizeOf(digest));
      return CampaignSubmitted{file.name, lead, PrintYaml(file), digest, bytes};
    };
    const auto event = prepare();
    if (!event.ok()) return reactor->Finish(ToGrpc(event.status()));
    parts_.runner.Read([this, reactor, response, event = *event, held](const State& state) mutable {
      const Status free = parts_.coordinator.CheckMayBeginWith(state, event.initial_digest);
      if (!free.ok()) {
        refusals_.Log(event.lead, LogLevel::kWarning, "rpc", "call refused",
                      {{"call", "Submit"}, {"name", event.lead}, {"reason", free}});
        return reactor->Finish(ToGrpc(free));
      }
      event.campaign = CampaignIdFor(state, event.campaign);
      response->set_campaign(event.campaign);
      parts_.runner.Post(event, [reactor, event, held](const Status& status) {
        if (status.ok()) {
          LogInfo("control", "campaign submitted",
                  {{"campaign", event.campaign}, {"lead", event.lead}});
        }
        reactor->Finish(ToGrpc(status));
      });
    });
  });
  if (!taken.ok()) reactor->Finish(ToGrpc(taken));
  return reactor;
}

ControlService::Unary* ControlService::List(Context* context, const v1::ListRequest*,
                                            v1::ListResponse* response) {
  Unary* reactor = context->DefaultReactor();
  const auto who =
      Authorize(*context, parts_.federation, "List", {Role::kLead, Role::kAdmin, Role::kObserver});
  if (!who.ok()) {
    reactor->Finish(ToGrpc(who.status()));
    return reactor;
  }
  parts_.runner.Read([reactor, response](const State& state) {
    for (const auto& [id, campaign] : state.campaigns) {
      *response->add_campaigns() = ToSummary(campaign);
    }
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

ControlService::Unary* ControlService::Show(Context* context, const v1::CampaignRequest* request,
                                            v1::CampaignStatus* response) {
  Unary* reactor = context->DefaultReactor();
  const auto who =
      Authorize(*context, parts_.federation, "Show", {Role::kLead, Role::kAdmin, Role::kObserver});
  if (!who.ok()) {
    reactor->Finish(ToGrpc(who.status()));
    return reactor;
  }
  const RoundRange range{request->rounds_from(), request->rounds_to()};
  if (const Status status = CheckRange(range); !status.ok()) {
    reactor->Finish(ToGrpc(status));
    return reactor;
  }
  std::shared_ptr<void> slot = shows_.Take(who->name);
  if (!slot) {
    reactor->Finish(ToGrpc(TooManyStreams("show", kMaxShows)));
    return reactor;
  }
  parts_.runner.Read(
      [this, reactor, response, range, slot, id = request->campaign()](const State& state) {
        if (state.FindCampaign(id) == nullptr) {
          return reactor->Finish(ToGrpc(UnknownCampaign(state, id)));
        }
        parts_.coordinator.history().Describe(
            state, id, range,
            [reactor, response, slot](Result<v1::CampaignStatus> status, const State&) {
              if (status.ok()) *response = *std::move(status);
              reactor->Finish(ToGrpc(status.status()));
            });
      });
  return reactor;
}

grpc::ServerWriteReactor<v1::CampaignStatus>* ControlService::Watch(
    Context* context, const v1::CampaignRequest* request) {
  auto* reactor = new WatchReactor;
  const auto writer = reactor->writer();
  const auto who =
      Authorize(*context, parts_.federation, "Watch", {Role::kLead, Role::kAdmin, Role::kObserver});
  if (!who.ok()) {
    writer->End(who.status());
    return reactor;
  }
  std::shared_ptr<void> slot = watches_.Take(who->name);
  if (!slot) {
    writer->End(TooManyStreams("watch", kMaxWatches));
    return reactor;
  }
  auto watcher = std::make_shared<Watcher>();
  watcher->campaign = request->campaign();
  watcher->changes = request->changes();
  watcher->rounds_from = request->rounds_from();
  watcher->notify = [weak = std::weak_ptr(writer)](const Result<v1::CampaignStatus>& status,
                                                   bool last) {
    const auto target = weak.lock();
    if (!target) return;
    if (!status.ok()) return target->End(status.status());
    target->WriteMerged(*status, MergeChanges);
    if (last) target->EndAfterQueue(OkStatus());
  };
  reactor->keep_alive = {std::move(slot), watcher};
  parts_.runner.Read([this, watcher, writer](const State& state) {
    if (state.FindCampaign(watcher->campaign) == nullptr) {
      return writer->End(UnknownCampaign(state, watcher->campaign));
    }
    parts_.coordinator.Watch(watcher);
  });
  return reactor;
}

ControlService::Unary* ControlService::Command(Context* context, std::string_view call,
                                               const std::string& campaign_id,
                                               v1::CampaignStatus* response, MakeEvent make) {
  Unary* reactor = context->DefaultReactor();
  const auto who = Authorize(*context, parts_.federation, call, {Role::kLead, Role::kAdmin});
  if (!who.ok()) {
    reactor->Finish(ToGrpc(who.status()));
    return reactor;
  }
  parts_.runner.Read([this, reactor, response, make = std::move(make), call = std::string(call),
                      who = *who, id = campaign_id](const State& state) {
    const Campaign* campaign = state.FindCampaign(id);
    if (campaign == nullptr) return reactor->Finish(ToGrpc(UnknownCampaign(state, id)));
    if (who.role != Role::kAdmin && campaign->lead != who.name) {
      const Status status = PermissionDeniedError("campaign " + id + " is led by " +
                                                  campaign->lead + ", not by " + who.name);
      refusals_.Log(who.name, LogLevel::kWarning, "rpc", "call refused",
                    {{"call", call}, {"name", who.name}, {"reason", status}});
      return reactor->Finish(ToGrpc(status));
    }
    const auto event = make(*campaign, who.name);
    const Status allowed = event.ok() ? CheckByTodaysRules(*campaign, *event) : event.status();
    if (!allowed.ok()) return reactor->Finish(ToGrpc(allowed));
    parts_.runner.Post(*event, [this, reactor, response, id](const Status& status) {
      if (!status.ok()) return reactor->Finish(ToGrpc(status));
      parts_.runner.Read([this, reactor, response, id](const State& now) {
        *response = parts_.coordinator.StatusOf(now.campaigns.at(id));
        reactor->Finish(grpc::Status::OK);
      });
    });
  });
  return reactor;
}

ControlService::Unary* ControlService::Pause(Context* context, const v1::CampaignRequest* request,
                                             v1::CampaignStatus* response) {
  return Command(context, "Pause", request->campaign(), response,
                 [](const Campaign& campaign, const std::string& by) -> Result<Event> {
                   return Event(CampaignPaused{campaign.id, by});
                 });
}

ControlService::Unary* ControlService::Resume(Context* context, const v1::CampaignRequest* request,
                                              v1::CampaignStatus* response) {
  return Command(
      context, "Resume", request->campaign(), response,
      [request](const Campaign& campaign, const std::string& by) -> Result<Event> {
        return Event(CampaignResumed{campaign.id,
                                     by,
                                     {request->without().begin(), request->without().end()},
                                     request->again()});
      });
}

ControlService::Unary* ControlService::Cancel(Context* context, const v1::CampaignRequest* request,
                                              v1::CampaignStatus* response) {
  return Command(context, "Cancel", request->campaign(), response,
                 [](const Campaign& campaign, const std::string& by) -> Result<Event> {
                   return Event(CampaignCancelled{campaign.id, by});
                 });
}

ControlService::Unary* ControlService::Change(Context* context, const v1::ChangeRequest* request,
                                              v1::CampaignStatus* response) {
  return Command(context, "Change", request->campaign(), response,
                 [request](const Campaign& campaign, const std::string& by) -> Result<Event> {
                   CampaignChanged event{campaign.id, by};
                   event.rounds = request->rounds();
                   if (request->has_deadline_seconds())
                     event.deadline_seconds = request->deadline_seconds();
                   if (request->has_deadline_seconds() && event.deadline_seconds < 0) {
                     return InvalidArgumentError("deadline: must not be negative");
                   }
                   event.start = request->start();
                   event.drop = {request->drop().begin(), request->drop().end()};
                   TRIBUTARY_RETURN_IF_ERROR(CheckWithout(campaign, event.drop));
                   return Event(std::move(event));
                 });
}

ControlService::Unary* ControlService::Sites(Context* context, const v1::SitesRequest*,
                                             v1::SitesResponse* response) {
  Unary* reactor = context->DefaultReactor();
  const auto who =
      Authorize(*context, parts_.federation, "Sites", {Role::kLead, Role::kAdmin, Role::kObserver});
  if (!who.ok()) {
    reactor->Finish(ToGrpc(who.status()));
    return reactor;
  }
  parts_.runner.Read([this, reactor, response](const State& state) {
    for (const std::string& name : parts_.coordinator.sessions().Connected()) {
      if (state.sites.contains(name)) continue;  // a journal of another time, or of another place
      const SessionInfo session = parts_.coordinator.sessions().Info(name);
      v1::SiteStatus* site = response->add_sites();
      site->set_site(name);
      site->set_connected(true);
      site->set_unknown(true);
      site->set_client_version(session.client_version);
      site->set_last_seen_us(ToMicros(session.last_seen));
    }
    for (const auto& [name, member] : state.sites) {
      const SessionInfo session = parts_.coordinator.sessions().Info(name);
      v1::SiteStatus* site = response->add_sites();
      site->set_site(name);
      site->set_connected(session.connected);
      site->set_client_version(session.client_version);
      site->set_last_seen_us(ToMicros(session.last_seen));
      site->set_visit_seconds(static_cast<std::uint32_t>(session.visits.count()));
      site->set_overdue(session.visits.count() > 0 && session.Away(parts_.clock.Now()));
      *site->mutable_facts() = parts_.coordinator.sessions().Facts(name);
      site->set_enrolled_at_us(ToMicros(member.enrolled_at));
      site->set_certificate_fingerprint(member.certificate_fingerprint);
      for (const auto& [id, campaign] : state.campaigns) {
        const auto answer = campaign.answers.find(name);
        if (answer != campaign.answers.end() && !campaign.ended() &&
            answer->second.kind == SiteAnswer::Kind::kAccepted) {
          site->add_campaigns(id);
        }
      }
    }
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

ControlService::Unary* ControlService::CreateToken(Context* context,
                                                   const v1::CreateTokenRequest* request,
                                                   v1::CreateTokenResponse* response) {
  Unary* reactor = context->DefaultReactor();
  const auto who = Authorize(*context, parts_.federation, "CreateToken", {Role::kAdmin});
  if (!who.ok()) {
    reactor->Finish(ToGrpc(who.status()));
    return reactor;
  }
  const Status taken = parts_.workers.TrySubmit([this, reactor, request, response, by = who->name] {
    const auto create = [&]() -> Status {
      TRIBUTARY_ASSIGN_OR_RETURN(const Role role, security::ParseRole(request->role()));
      if (request->valid_seconds() < 1 || request->valid_seconds() > 90 * 86400) {
        return InvalidArgumentError("validity of " + std::to_string(request->valid_seconds()) +
                                    " s is out of range; must be 1 s to 90 days");
      }
      const Timestamp now = parts_.clock.Now();
      const std::chrono::seconds valid(request->valid_seconds());
      TRIBUTARY_ASSIGN_OR_RETURN(const auto created,
                                 parts_.tokens.Create(role, request->name(), now, valid));
      response->set_token(created.token);
      for (const std::string& note : created.notes) response->add_notes(note);
      response->set_expires_at_us(ToMicros(now + valid));
      response->set_ca_fingerprint(parts_.ca_fingerprint);
      response->set_address(parts_.advertise);
      LogInfo("control", "enrollment token created",
              {{"for", request->name()}, {"role", request->role()}, {"by", by}});
      return OkStatus();
    };
    reactor->Finish(ToGrpc(create()));
  });
  if (!taken.ok()) reactor->Finish(ToGrpc(taken));
  return reactor;
}

grpc::ServerWriteReactor<v1::AuditEntry>* ControlService::Audit(Context* context,
                                                                const v1::AuditRequest* request) {
  using Refusal = Refused<grpc::ServerWriteReactor<v1::AuditEntry>>;
  const auto who =
      Authorize(*context, parts_.federation, "Audit", {Role::kLead, Role::kAdmin, Role::kObserver});
  if (!who.ok()) return new Refusal(who.status());
  std::shared_ptr<void> slot = audits_.Take(who->name);
  if (!slot) return new Refusal(TooManyStreams("audit", kMaxAudits));
  const auto check = [id = request->campaign()](const State& state) {
    return id.empty() || state.FindCampaign(id) != nullptr ? OkStatus()
                                                           : UnknownCampaign(state, id);
  };
  return StartAudit(parts_.runner, parts_.workers, request->campaign(), check, std::move(slot));
}

}  // namespace tributary::server
