// tributary.v1.Federation: the sites' streams and blobs.
#pragma once

#include <string>

#include "core/clock.h"
#include "core/log_limit.h"
#include "server/blob_transfer.h"
#include "server/coordinator.h"
#include "server/message_check.h"
#include "tributary/v1/federation.grpc.pb.h"

namespace tributary::server {

inline constexpr std::uint32_t kProtocolMin = 1;
inline constexpr std::uint32_t kProtocolMax = 1;

// Thread-safe. Borrowed arguments outlive the service.
class FederationService final : public v1::Federation::CallbackService {
 public:
  FederationService(std::string federation, std::chrono::seconds heartbeat, const Clock& clock,
                    TransferParts& parts)
      : federation_(std::move(federation)), heartbeat_(heartbeat), clock_(clock), parts_(parts) {}

  grpc::ServerBidiReactor<v1::ClientMessage, v1::ServerMessage>* Connect(
      grpc::CallbackServerContext* context) override;
  grpc::ServerBidiReactor<v1::DownloadRequest, v1::Chunk>* Download(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* UploadStatus(grpc::CallbackServerContext* context,
                                         const v1::UploadStatusRequest* request,
                                         v1::UploadStatusResponse* response) override;
  grpc::ServerReadReactor<v1::UploadRequest>* Upload(grpc::CallbackServerContext* context,
                                                     v1::UploadResponse* response) override;

 private:
  const std::string federation_;
  const std::chrono::seconds heartbeat_;
  const Clock& clock_;
  TransferParts& parts_;
  MessageRates rates_;
  LogLimit log_limit_;
};

}  // namespace tributary::server
