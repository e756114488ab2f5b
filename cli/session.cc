#include "cli/session.h"

#include "cli/profile.h"

namespace tributary::cli {

Result<Session> Session::Open(const GlobalOptions& options) {
  Session session;
  TRIBUTARY_ASSIGN_OR_RETURN(session.channel_, OpenChannel(options.profile));
  session.control_ = v1::Control::NewStub(session.channel_);
  return session;
}

}  // namespace tributary::cli
