// tributary.v1.Enrollment: a token and a request in, a certificate out.
#pragma once

#include "core/clock.h"
#include "core/log_limit.h"
#include "security/pki.h"
#include "server/engine_runner.h"
#include "server/rate_limit.h"
#include "server/token_store.h"
#include "server/worker_pool.h"
#include "tributary/v1/enrollment.grpc.pb.h"

namespace tributary::server {

// Thread-safe. Borrowed arguments outlive the service.
class EnrollmentService final : public v1::Enrollment::CallbackService {
 public:
  EnrollmentService(std::string federation, security::CertificateAuthority authority,
                    std::chrono::seconds lifetime, const Clock& clock, TokenStore& tokens,
                    EngineRunner& runner, WorkerPool& workers)
      : federation_(std::move(federation)),
        authority_(std::move(authority)),
        lifetime_(lifetime),
        clock_(clock),
        tokens_(tokens),
        runner_(runner),
        workers_(workers) {}

  grpc::ServerUnaryReactor* Enroll(grpc::CallbackServerContext* context,
                                   const v1::EnrollRequest* request,
                                   v1::EnrollResponse* response) override;

 private:
  Status Issue(const v1::EnrollRequest& request, v1::EnrollResponse* response);
  Status MakeKnown(const std::string& site, const std::string& certificate_pem);
  void Refuse(const std::string& peer, const Status& status, grpc::ServerUnaryReactor* reactor);

  static constexpr std::size_t kMostHosts = 4096;

  const std::string federation_;
  const security::CertificateAuthority authority_;
  const std::chrono::seconds lifetime_;
  const Clock& clock_;
  TokenStore& tokens_;
  EngineRunner& runner_;
  WorkerPool& workers_;
  RateLimit rates_{kMostHosts};  // by host
  LogLimit log_limit_;           // likewise
};

}  // namespace tributary::server
