#include "cli/session.h"

#include "cli/profile.h"

namespace tributary::cli {

Result<Session> Session::Open(const GlobalOptions& options) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto channel, OpenChannel(options.profile));
  Session session;
  session.control_ = v1::Control::NewStub(channel);
  session.federation_ = v1::Federation::NewStub(channel);
  return session;
}

}  // namespace tributary::cli
