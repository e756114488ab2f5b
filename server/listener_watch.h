// Notices a dead port: one that is open, and where nobody accepts connections any more. gRPC stops
// to accept for good when it once ran out of file descriptors.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <vector>

#include "server/periodic.h"

namespace tributary::server {

// Looks once per `interval` whether connections wait to be accepted. When some did three times in a
// row, it connects itself and says something that no TLS server takes: one that lives closes such a
// connection.
class ListenerWatch {
 public:
  // Of the sockets of this process that listen on `port` now. `on_dead` is called at most once,
  // from the watch's thread.
  ListenerWatch(int port, std::chrono::milliseconds interval, std::chrono::milliseconds patience,
                std::function<void()> on_dead);

 private:
  void Look();

  const std::chrono::milliseconds patience_;  // with the answer to a connection of its own
  const std::function<void()> on_dead_;
  const std::vector<int> listeners_;  // borrowed
  int waited_ = 0;                    // looks in a row
  bool told_ = false;
  Periodic looks_;  // last: it uses the rest
};

}  // namespace tributary::server
