#include "server/listener_watch.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include "core/files.h"
#include "core/log.h"

namespace tributary::server {
namespace {

constexpr int kLooksBeforeTrial = 3;

struct Address {
  sockaddr_storage bytes{};
  socklen_t size = sizeof bytes;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&bytes); }
  sockaddr_in* v4() { return reinterpret_cast<sockaddr_in*>(&bytes); }
  sockaddr_in6* v6() { return reinterpret_cast<sockaddr_in6*>(&bytes); }
};

// Where one reaches the socket from this machine.
std::optional<Address> AddressOf(int listener) {
  Address address;
  if (getsockname(listener, address.get(), &address.size) != 0) return std::nullopt;
  if (address.bytes.ss_family == AF_INET) {
    if (address.v4()->sin_addr.s_addr == htonl(INADDR_ANY)) {
      address.v4()->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    return address;
  }
  if (address.bytes.ss_family != AF_INET6) return std::nullopt;
  if (IN6_IS_ADDR_UNSPECIFIED(&address.v6()->sin6_addr)) address.v6()->sin6_addr = in6addr_loopback;
  return address;
}

bool ListensOn(int fd, int port) {
  int listens = 0;
  socklen_t size = sizeof listens;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0) return false;
  auto address = AddressOf(fd);
  if (!address) return false;
  const auto at =
      address->bytes.ss_family == AF_INET ? address->v4()->sin_port : address->v6()->sin6_port;
  return ntohs(at) == port;
}

std::vector<int> ListenersOn(int port) {
  std::vector<int> listeners;
  const auto names = ListDirectory("/proc/self/fd");
  if (!names.ok()) return listeners;
  for (const std::string& name : *names) {
    const int fd = std::atoi(name.c_str());
    if (ListensOn(fd, port)) listeners.push_back(fd);
  }
  return listeners;
}

// Connections that nobody has accepted yet.
unsigned WaitingAt(int listener) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
  return info.tcpi_unacked;  // what the field means for a listening socket
}

bool WaitFor(int fd, short events, std::chrono::steady_clock::time_point until) {
  pollfd waited{fd, events, 0};
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        until - std::chrono::steady_clock::now());
    const int ready = poll(&waited, 1, static_cast<int>(std::max<std::int64_t>(0, left.count())));
    if (ready < 0 && errno == EINTR) continue;
    return ready > 0;
  }
}

// Nothing is said about the listener where this process has no file descriptor to ask with.
std::optional<bool> Answers(int listener, std::chrono::milliseconds patience) {
  auto address = AddressOf(listener);
  if (!address) return std::nullopt;
  const FileDescriptor probe(
      socket(address->bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.valid()) return std::nullopt;
  const auto until = std::chrono::steady_clock::now() + patience;
  if (connect(probe.get(), address->get(), address->size) != 0) {
    if (errno != EINPROGRESS) return std::nullopt;
    if (!WaitFor(probe.get(), POLLOUT, until)) return false;
  }
  constexpr char kNoTls[] = "are you there?\n";
  if (send(probe.get(), kNoTls, sizeof kNoTls - 1, MSG_NOSIGNAL) < 0) return true;  // it was closed
  return WaitFor(probe.get(), POLLIN, until);  // an alert, or the end
}

}  // namespace

ListenerWatch::ListenerWatch(int port, std::chrono::milliseconds interval,
                             std::chrono::milliseconds patience, std::function<void()> on_dead)
    : patience_(patience),
      on_dead_(std::move(on_dead)),
      listeners_(ListenersOn(port)),
      looks_(interval, [this] { Look(); }) {}

void ListenerWatch::Look() {
  const auto stuck = std::find_if(listeners_.begin(), listeners_.end(),
                                  [](int listener) { return WaitingAt(listener) > 0; });
  waited_ = stuck == listeners_.end() ? 0 : waited_ + 1;
  if (told_ || waited_ < kLooksBeforeTrial) return;
  const auto answers = Answers(*stuck, patience_);
  if (!answers || *answers) return;
  LogError("server", "connections are not accepted any more", {{"waiting", WaitingAt(*stuck)}});
  told_ = true;
  on_dead_();
}

}  // namespace tributary::server
