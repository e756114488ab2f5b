// Upload and download streams: blobs in chunks, resumable, verified.
#pragma once

#include <grpcpp/grpcpp.h>

#include "core/blob_store.h"
#include "security/identity.h"
#include "server/coordinator.h"
#include "server/worker_pool.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::server {

// What transfers share; outlives them.
struct TransferParts {
  Coordinator& coordinator;
  BlobStore& blobs;
  WorkerPool& workers;
  AdmissionGate& uploads;
  AdmissionGate& downloads;
  std::uint64_t max_upload_bytes = 0;
};

// Each deletes itself when the call is over.
grpc::ServerReadReactor<v1::UploadRequest>* StartUpload(TransferParts& parts,
                                                        const security::Identity& who,
                                                        v1::UploadResponse* response);
grpc::ServerWriteReactor<v1::Chunk>* StartDownload(TransferParts& parts,
                                                   const security::Identity& who,
                                                   const v1::DownloadRequest& request);

}  // namespace tributary::server
