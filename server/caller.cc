#include "server/caller.h"

#include <algorithm>

#include "core/log_limit.h"
#include "security/grpc_credentials.h"

namespace tributary::server {
namespace {

// Never destroyed: calls may be refused until the process ends.
LogLimit& Refusals() {
  static auto* limit = new LogLimit(/*lines=*/50);  // of one host
  return *limit;
}

}  // namespace

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
  const std::string peer = context.peer();
  Refusals().Log(HostOf(peer), LogLevel::kWarning, "rpc", "call refused",
                 {{"call", call},
                  {"peer", peer},
                  {"name", identity.ok() ? identity->name : std::string("-")},
                  {"reason", status}});
  return status;
}

std::string HostOf(const std::string& peer) { return peer.substr(0, peer.rfind(':')); }

grpc::Status ToGrpc(const Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const auto code = static_cast<grpc::StatusCode>(status.code());
  // Invalid arguments are about what the peer said; the paths in them are its own.
  if (status.code() == StatusCode::kInvalidArgument) return {code, status.message()};
  return {code, WithoutDirectories(status.message())};
}

std::string WithoutDirectories(std::string_view text) {
  constexpr std::string_view kBefore = " \"'(=[<";
  constexpr std::string_view kAfter = " \"')]>,;:";
  std::string out;
  while (!text.empty()) {
    const bool starts =
        text.front() == '/' && (out.empty() || kBefore.find(out.back()) != kBefore.npos);
    if (!starts) {
      out += text.front();
      text.remove_prefix(1);
      continue;
    }
    const std::string_view path = text.substr(0, text.find_first_of(kAfter));
    out += path.substr(path.rfind('/') + 1);
    text.remove_prefix(path.size());
  }
  return out;
}

}  // namespace tributary::server
