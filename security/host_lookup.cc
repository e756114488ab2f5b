#include "security/host_lookup.h"

#include <ares.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>

#include "core/text.h"

namespace tributary::security {
namespace {

using Deadline = std::chrono::steady_clock::time_point;
using std::chrono::milliseconds;

constexpr milliseconds kLongestWait{1000};  // c-ares counts its own time-outs

struct Answer {
  std::optional<int> status;  // of c-ares, once it is there
  std::vector<HostAddress> addresses;
};

// One query, on the thread that asks.
class Lookup {
 public:
  Lookup() = default;
  ~Lookup() {
    if (channel_ != nullptr) ares_destroy(channel_);  // calls back if it must
  }
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

  Result<std::vector<HostAddress>> Run(const std::string& host, std::uint16_t port,
                                       Deadline deadline) {
    ares_options options{};
    options.sock_state_cb = &Lookup::Watch;
    options.sock_state_cb_data = &sockets_;
    const int failed = ares_init_options(&channel_, &options, ARES_OPT_SOCK_STATE_CB);
    if (failed != ARES_SUCCESS) return Failure(failed);
    ares_addrinfo_hints hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = ARES_AI_NUMERICSERV;
    const std::string service = std::to_string(port);
    ares_getaddrinfo(channel_, host.c_str(), service.c_str(), &hints, &Lookup::Keep, &answer_);
    while (!answer_.status) {
      if (std::chrono::steady_clock::now() >= deadline) {
        ares_cancel(channel_);  // calls back with what there is, such as one of two families
        if (!answer_.addresses.empty()) return std::move(answer_.addresses);
        return UnavailableError("look up the host: no name server answered in time");
      }
      Wait(deadline);
    }
    if (*answer_.status != ARES_SUCCESS) return Failure(*answer_.status);
    if (answer_.addresses.empty()) return UnavailableError("the host has no address");
    return std::move(answer_.addresses);
  }

 private:
  static Status Failure(int status) {
    return UnavailableError(std::string("look up the host: ") + ares_strerror(status));
  }

  static void Keep(void* argument, int status, int, ares_addrinfo* found) {
    auto& answer = *static_cast<Answer*>(argument);
    answer.status = status;
    if (found == nullptr) return;
    for (const ares_addrinfo_node* node = found->nodes; node != nullptr; node = node->ai_next) {
      HostAddress address;
      if (node->ai_addrlen > sizeof address.address) continue;
      std::memcpy(&address.address, node->ai_addr, node->ai_addrlen);
      address.size = node->ai_addrlen;
      answer.addresses.push_back(address);
    }
    ares_freeaddrinfo(found);
  }

  static void Watch(void* sockets, ares_socket_t socket, int readable, int writable) {
    const int events = (readable != 0 ? POLLIN : 0) | (writable != 0 ? POLLOUT : 0);
    auto& watched = *static_cast<std::map<ares_socket_t, short>*>(sockets);
    if (events == 0) {
      watched.erase(socket);
    } else {
      watched[socket] = static_cast<short>(events);
    }
  }

  void Wait(Deadline deadline) {
    std::vector<pollfd> polled;
    for (const auto& [socket, events] : sockets_) polled.push_back({socket, events, 0});
    const auto left = std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now());
    milliseconds wait = std::clamp(left, milliseconds(0), kLongestWait);
    timeval longest{.tv_sec = 1, .tv_usec = 0}, own{};
    if (const timeval* next = ares_timeout(channel_, &longest, &own); next != nullptr) {
      wait = std::min(wait, milliseconds(next->tv_sec * 1000 + next->tv_usec / 1000 + 1));
    }
    if (poll(polled.data(), polled.size(), static_cast<int>(wait.count())) <= 0) {
      ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);  // for its time-outs
      return;
    }
    for (const pollfd& each : polled) {
      if (each.revents == 0) continue;
      const bool wrong = (each.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
      const bool read = wrong || (each.revents & POLLIN) != 0;
      const bool write = (each.revents & POLLOUT) != 0;
      ares_process_fd(channel_, read ? each.fd : ARES_SOCKET_BAD,
                      write ? each.fd : ARES_SOCKET_BAD);
    }
  }

  std::map<ares_socket_t, short> sockets_;  // and what to poll them for
  ares_channel channel_ = nullptr;
  Answer answer_;
};

}  // namespace

std::string HostAddress::Text() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* number =
      family() == AF_INET6
          ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in6*>(&address)->sin6_addr)
          : static_cast<const void*>(&reinterpret_cast<const sockaddr_in*>(&address)->sin_addr);
  return inet_ntop(family(), number, text.data(), text.size()) == nullptr ? "" : text.data();
}

Result<std::vector<HostAddress>> LookUpHost(const std::string& host, std::uint16_t port,
                                            Deadline deadline) {
  static std::once_flag ready;
  std::call_once(ready, [] { ares_library_init(ARES_LIB_INIT_ALL); });
  if (host.find('\0') != std::string::npos) {
    return InvalidArgumentError("the host's name has a NUL: " + Excerpt(host, 253));
  }
  return Lookup().Run(host, port, deadline);
}

}  // namespace tributary::security
