// Upload and download streams: blobs in chunks, resumable, verified.
#pragma once

#include <grpcpp/grpcpp.h>

#include "core/blob_store.h"
#include "core/log_limit.h"
#include "security/identity.h"
#include "server/admission_gate.h"
#include "server/coordinator.h"
#include "server/stall_watch.h"
#include "server/worker_pool.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::server {

// What transfers share; outlives them.
struct TransferParts {
  Coordinator& coordinator;
  BlobStore& blobs;
  WorkerPool& workers;
  WorkerPool& resumptions;         // what an earlier connection left is hashed there,
  AdmissionGate& resumption_gate;  // of one owner once at a time
  AdmissionGate& uploads;
  AdmissionGate& downloads;
  StallWatch& stalls;
  LogLimit& log_limit;  // of what a member can cause
  std::uint64_t max_upload_bytes = 0;
};

// Each deletes itself when the call is over.
grpc::ServerReadReactor<v1::UploadRequest>* StartUpload(TransferParts& parts,
                                                        grpc::CallbackServerContext& context,
                                                        const security::Identity& who,
                                                        v1::UploadResponse* response);
grpc::ServerBidiReactor<v1::DownloadRequest, v1::Chunk>* StartDownload(
    TransferParts& parts, grpc::CallbackServerContext& context, const security::Identity& who);

}  // namespace tributary::server
