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

// What a peer hears. Errors of this machine (files, disks) lose the directories in them: where the
// server keeps what is nobody's business.
grpc::Status ToGrpc(const Status& status);

// The address of a peer without its port: "ipv4:10.0.0.1" of "ipv4:10.0.0.1:51234".
std::string HostOf(const std::string& peer);

// `text` with the last part alone of each absolute path in it.
std::string WithoutDirectories(std::string_view text);

// A reactor for a call that is over before it began.
template <class Base>
class Refused final : public Base {
 public:
  explicit Refused(const Status& status) { this->Finish(ToGrpc(status)); }
  void OnDone() override { delete this; }
};

}  // namespace tributary::server
