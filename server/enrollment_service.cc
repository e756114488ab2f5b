#include "server/enrollment_service.h"

#include "core/log.h"
#include "server/caller.h"

namespace tributary::server {
namespace {

constexpr std::size_t kMostBytes = std::size_t{16} << 10;

}  // namespace

grpc::ServerUnaryReactor* EnrollmentService::Enroll(grpc::CallbackServerContext* context,
                                                    const v1::EnrollRequest* request,
                                                    v1::EnrollResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  // Whoever reaches the port may ask: what it says is small, and few wait.
  if (request->token().size() + request->csr_pem().size() > kMostBytes) {
    reactor->Finish(ToGrpc(InvalidArgumentError("a token or request that is too long")));
    return reactor;
  }
  const Status taken =
      workers_.TrySubmit([this, reactor, request, response, peer = context->peer()] {
        const Status status = Issue(*request, response);
        if (!status.ok()) {
          LogWarning("rpc", "enrollment refused", {{"peer", peer}, {"reason", status}});
          return reactor->Finish(ToGrpc(status));
        }
        LogInfo("rpc", "member enrolled",
                {{"peer", peer}, {"name", response->name()}, {"role", response->role()}});
        if (response->role() != security::RoleName(security::Role::kSite)) {
          return reactor->Finish(grpc::Status::OK);
        }
        const auto fingerprint = security::CertificateFingerprint(response->certificate_pem());
        runner_.Post(SiteEnrolled{response->name(), fingerprint.ok() ? *fingerprint : ""},
                     [reactor](const Status& posted) { reactor->Finish(ToGrpc(posted)); });
      });
  if (!taken.ok()) {
    LogWarning("rpc", "enrollment refused", {{"peer", context->peer()}, {"reason", taken}});
    reactor->Finish(ToGrpc(taken));
  }
  return reactor;
}

Status EnrollmentService::Issue(const v1::EnrollRequest& request, v1::EnrollResponse* response) {
  const Timestamp now = clock_.Now();
  std::string certificate;
  const auto issue = [&](const security::TokenRecord& record) -> Status {
    TRIBUTARY_ASSIGN_OR_RETURN(
        certificate, security::IssueMemberCertificate(authority_, request.csr_pem(),
                                                      {federation_, record.role, record.name},
                                                      security::ValidFrom(now, lifetime_)));
    return OkStatus();
  };
  TRIBUTARY_ASSIGN_OR_RETURN(const auto record, tokens_.Redeem(request.token(), now, issue));
  response->set_certificate_pem(certificate);
  response->set_ca_pem(authority_.certificate_pem);
  response->set_federation(federation_);
  response->set_role(std::string(security::RoleName(record.role)));
  response->set_name(record.name);
  return OkStatus();
}

}  // namespace tributary::server
