// How the parts of a client speak to the server.
#pragma once

#include "tributary/v1/federation.pb.h"

namespace tributary::client {

// Any thread; does not wait for the network for long. False when there is no connection: durable
// things are said again when it is back, the rest is lost.
class Uplink {
 public:
  virtual ~Uplink() = default;
  virtual bool Send(const v1::ClientMessage& message) = 0;
};

}  // namespace tributary::client
