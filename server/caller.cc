#include "server/caller.h"

#include <algorithm>

#include "core/log.h"
#include "security/grpc_credentials.h"

namespace tributary::server {

Result<security::Identity> Authorize(const grpc::CallbackServerContext& context,
                                     const std::string& federation, std::string_view call,
                                     std::initializer_list<security::Role> roles) {
  const auto auth = context.auth_context();
  auto identity = security::PeerIdentity(*auth);
  Status status = identity.status();
  if (identity.ok() && identity->federation != federation) {
    status = PermissionDeniedError("the certificate is of federation " + identity->federation);
  } else if (identity.ok() &&
             std::find(roles.begin(), roles.end(), identity->role) == roles.end()) {
    status = PermissionDeniedError("role " + std::string(security::RoleName(identity->role)) +
                                   " may not call " + std::string(call));
  }
  if (status.ok()) return identity;
  LogWarning("rpc", "call refused",
             {{"call", call},
              {"peer", context.peer()},
              {"name", identity.ok() ? identity->name : std::string("-")},
              {"reason", status}});
  return status;
}

grpc::Status ToGrpc(const Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return {static_cast<grpc::StatusCode>(status.code()), status.message()};
}

}  // namespace tributary::server
