#include "server/enrollment_service.h"

#include <future>
#include <memory>

#include "core/log.h"
#include "server/caller.h"

namespace tributary::server {
namespace {

constexpr std::size_t kMostBytes = std::size_t{16} << 10;
// All sites of a large federation may come from one address at once.
constexpr Rate kRate{.per_second = 1, .burst = 120};

}  // namespace

grpc::ServerUnaryReactor* EnrollmentService::Enroll(grpc::CallbackServerContext* context,
                                                    const v1::EnrollRequest* request,
                                                    v1::EnrollResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const std::string peer = context->peer();
  // Whoever reaches the port may ask: not often, what it says is small, and few wait.
  if (!rates_.Admit(HostOf(peer), kRate, std::chrono::steady_clock::now())) {
    Refuse(peer,
           ResourceExhaustedError("too many enrollments were asked for from this address; wait for "
                                  "a minute, then join with the same token"),
           reactor);
    return reactor;
  }
  if (request->token().size() + request->csr_pem().size() > kMostBytes) {
    Refuse(peer, InvalidArgumentError("a token or request that is too long"), reactor);
    return reactor;
  }
  const Status taken = workers_.TrySubmit([this, reactor, request, response, peer] {
    const Status status = Issue(*request, response);
    if (!status.ok()) return Refuse(peer, status, reactor);
    LogInfo("rpc", "member enrolled",
            {{"peer", peer}, {"name", response->name()}, {"role", response->role()}});
    reactor->Finish(grpc::Status::OK);
  });
  if (!taken.ok()) Refuse(peer, taken, reactor);
  return reactor;
}

void EnrollmentService::Refuse(const std::string& peer, const Status& status,
                               grpc::ServerUnaryReactor* reactor) {
  log_limit_.Log(HostOf(peer), LogLevel::kWarning, "rpc", "enrollment refused",
                 {{"peer", peer}, {"reason", status}});
  reactor->Finish(ToGrpc(status));
}

// Before its token is used up: while the journal cannot be written the token stays good, and no
// site has a certificate that the journal does not know.
Status EnrollmentService::MakeKnown(const std::string& site, const std::string& certificate_pem) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string fingerprint,
                             security::CertificateFingerprint(certificate_pem));
  const auto outcome = std::make_shared<std::promise<Status>>();
  runner_.Post(SiteEnrolled{site, fingerprint},
               [outcome](const Status& status) { outcome->set_value(status); });
  return outcome->get_future().get();
}

Status EnrollmentService::Issue(const v1::EnrollRequest& request, v1::EnrollResponse* response) {
  const Timestamp now = clock_.Now();
  std::string certificate;
  const auto issue = [&](const security::TokenRecord& record) -> Status {
    TRIBUTARY_ASSIGN_OR_RETURN(
        certificate, security::IssueMemberCertificate(authority_, request.csr_pem(),
                                                      {federation_, record.role, record.name},
                                                      security::ValidFrom(now, lifetime_)));
    if (record.role != security::Role::kSite) return OkStatus();
    return MakeKnown(record.name, certificate);
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
