// What every command that speaks with the server needs.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <memory>
#include <string>

#include "core/status.h"
#include "tributary/v1/control.grpc.pb.h"

namespace tributary::cli {

struct GlobalOptions {
  std::string profile;  // directory
  bool json = false;
};

// One connection of one command.
class Session {
 public:
  static Result<Session> Open(const GlobalOptions& options);

  v1::Control::StubInterface& control() { return *control_; }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

  // Calls a unary method with a deadline of a minute: session.Call(&StubInterface::Show, request).
  template <class Request, class Response>
  Result<Response> Call(grpc::Status (v1::Control::StubInterface::*method)(grpc::ClientContext*,
                                                                           const Request&,
                                                                           Response*),
                        const Request& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(1));
    Response response;
    const Status status = Outcome((control_.get()->*method)(&context, request, &response));
    if (!status.ok()) return status;
    return response;
  }
  // What a call came to. Of a server that does not answer: which one it is, and who says so.
  Status Outcome(const grpc::Status& answer) const;

 private:
  std::string server_;  // "server HOST:PORT (from FILE)"
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Control::StubInterface> control_;
};

}  // namespace tributary::cli
