// gRPC's own complaints (failed handshakes above all) in our log instead of raw lines on standard
// error.
#pragma once

#include "core/log.h"

namespace tributary::security {

// To be called first in main(), before any other use of gRPC.
// `errors`: the level that its errors get in our log; the rest is kDebug.
void RouteGrpcLog(LogLevel errors = LogLevel::kWarning);

}  // namespace tributary::security
