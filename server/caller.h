// Who calls: the identity in the client certificate, and whether its role may do this.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "core/status.h"
#include "security/identity.h"

namespace tributary::server {

// The caller's identity when it belongs to this federation and has one of the roles. Otherwise
// unauthenticated or permission denied; the reason goes to the log with the peer's address, and a
// short text to the peer.
Result<security::Identity> Authorize(const grpc::CallbackServerContext& context,
                                     const std::string& federation, std::string_view call,
                                     std::initializer_list<security::Role> roles);

grpc::Status ToGrpc(const Status& status);

}  // namespace tributary::server
