// tributary.v1.Control: what people ask for.
#pragma once

#include <functional>
#include <string>

#include "core/clock.h"
#include "core/log_limit.h"
#include "server/coordinator.h"
#include "server/peer_slots.h"
#include "server/token_store.h"
#include "tributary/v1/control.grpc.pb.h"

namespace tributary::server {

struct ControlParts {
  std::string federation;
  std::string advertise;       // address told to new members
  std::string ca_fingerprint;  // likewise
  const Clock& clock;
  EngineRunner& runner;
  Coordinator& coordinator;
  BlobStore& blobs;
  WorkerPool& workers;
  TokenStore& tokens;
};

// Thread-safe. What `parts` borrows outlives the service.
class ControlService final : public v1::Control::CallbackService {
 public:
  explicit ControlService(ControlParts parts) : parts_(std::move(parts)) {}

  using Context = grpc::CallbackServerContext;
  using Unary = grpc::ServerUnaryReactor;
  Unary* Submit(Context* context, const v1::SubmitRequest* request,
                v1::SubmitResponse* response) override;
  Unary* Validate(Context* context, const v1::SubmitRequest* request,
                  v1::ValidateResponse* response) override;
  Unary* List(Context* context, const v1::ListRequest* request,
              v1::ListResponse* response) override;
  Unary* Show(Context* context, const v1::CampaignRequest* request,
              v1::CampaignStatus* response) override;
  grpc::ServerWriteReactor<v1::CampaignStatus>* Watch(Context* context,
                                                      const v1::CampaignRequest* request) override;
  Unary* Pause(Context* context, const v1::CampaignRequest* request,
               v1::CampaignStatus* response) override;
  Unary* Resume(Context* context, const v1::CampaignRequest* request,
                v1::CampaignStatus* response) override;
  Unary* Cancel(Context* context, const v1::CampaignRequest* request,
                v1::CampaignStatus* response) override;
  Unary* Change(Context* context, const v1::ChangeRequest* request,
                v1::CampaignStatus* response) override;
  Unary* Sites(Context* context, const v1::SitesRequest* request,
               v1::SitesResponse* response) override;
  Unary* CreateToken(Context* context, const v1::CreateTokenRequest* request,
                     v1::CreateTokenResponse* response) override;
  grpc::ServerWriteReactor<v1::AuditEntry>* Audit(Context* context,
                                                  const v1::AuditRequest* request) override;

 private:
  // Posts an event about a campaign that the caller leads (or any, for an administrator), then
  // answers with its status. `make` runs on the engine's thread.
  using MakeEvent = std::function<Result<Event>(const Campaign& campaign, const std::string& by)>;
  Unary* Command(Context* context, std::string_view call, const std::string& campaign_id,
                 v1::CampaignStatus* response, MakeEvent make);

  static constexpr int kMaxWatches = 16;  // of one member at a time
  static constexpr int kMaxShows = 16;
  static constexpr int kMaxAudits = 4;

  const ControlParts parts_;
  PeerSlots watches_{kMaxWatches};
  PeerSlots shows_{kMaxShows};
  PeerSlots audits_{kMaxAudits};
  LogLimit refusals_;  // by member
};

}  // namespace tributary::server
