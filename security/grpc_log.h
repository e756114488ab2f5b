// gRPC's own complaints (failed handshakes above all) in our log instead of raw lines on standard
// error.
#pragma once

namespace tributary::security {

// To be called first in main(), before any other use of gRPC.
void RouteGrpcLog();

}  // namespace tributary::security
