#include "cli/session.h"

#include "cli/output.h"
#include "cli/profile.h"

namespace tributary::cli {

Result<Session> Session::Open(const GlobalOptions& options) {
  Session session;
  TRIBUTARY_ASSIGN_OR_RETURN(const Profile profile, ReadProfile(options.profile));
  session.server_ = "server " + profile.server + " (from " + ProfileFile(options.profile) + ")";
  TRIBUTARY_ASSIGN_OR_RETURN(session.channel_, OpenChannel(options.profile));
  session.control_ = v1::Control::NewStub(session.channel_);
  return session;
}

Status Session::Outcome(const grpc::Status& answer) const {
  const Status status = FromGrpc(answer);
  const bool silent =
      status.code() == StatusCode::kUnavailable || status.code() == StatusCode::kDeadlineExceeded;
  return silent ? status.Annotate(server_) : status;
}

}  // namespace tributary::cli
