#include "server/listener_watch.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include "core/files.h"

namespace tributary::server {
namespace {

using std::chrono::milliseconds;

// A socket that listens on a port of this machine.
class Listener {
 public:
  Listener() : socket_(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(socket_.get(), 64), 0);
    socklen_t size = sizeof address;
    EXPECT_EQ(getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin6_port);
  }
  FileDescriptor Connect() const {
    FileDescriptor client(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    address.sin6_port = htons(static_cast<std::uint16_t>(port_));
    EXPECT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return client;
  }
  // Takes one connection, reads what it says, and closes it, as a TLS server does with a stranger.
  // False after Shutdown().
  bool ServeOne() const {
    const FileDescriptor taken(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!taken.valid()) return false;
    char said = 0;
    (void)recv(taken.get(), &said, 1, 0);
    ++served;
    return true;
  }
  void Shutdown() const { shutdown(socket_.get(), SHUT_RDWR); }
  unsigned Waiting() const {
    tcp_info info{};
    socklen_t size = sizeof info;
    EXPECT_EQ(getsockopt(socket_.get(), IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    return info.tcpi_unacked;
  }
  int port() const { return port_; }
  mutable std::atomic<int> served = 0;

 private:
  FileDescriptor socket_;
  int port_ = 0;
};

TEST(ListenerWatchTest, NoticesThatNobodyAccepts) {
  const Listener listener;
  const FileDescriptor waits = listener.Connect();
  std::promise<void> dead;
  const ListenerWatch watch(listener.port(), milliseconds(1), milliseconds(50),
                            [&] { dead.set_value(); });
  EXPECT_EQ(dead.get_future().wait_for(std::chrono::minutes(2)), std::future_status::ready);
}

TEST(ListenerWatchTest, AListenerThatIsBehindButServesIsAlive) {
  const Listener listener;
  std::atomic<bool> dead = false;
  std::vector<FileDescriptor> crowd;
  for (int i = 0; i < 8; ++i) crowd.push_back(listener.Connect());
  for (const FileDescriptor& one : crowd) EXPECT_EQ(send(one.get(), "x", 1, 0), 1);
  std::thread server;
  {
    const ListenerWatch watch(listener.port(), milliseconds(1), std::chrono::hours(1),
                              [&] { dead = true; });
    while (listener.Waiting() < 9) std::this_thread::yield();  // the ninth is the watch's own
    server = std::thread([&] {
      while (listener.ServeOne()) {
      }
    });
    while (listener.served < 9) std::this_thread::yield();
  }
  listener.Shutdown();
  server.join();
  EXPECT_FALSE(dead);
}

TEST(ListenerWatchTest, AQuietListenerIsLeftInPeace) {
  const Listener listener;
  std::atomic<bool> dead = false;
  {
    const ListenerWatch watch(listener.port(), milliseconds(1), milliseconds(1),
                              [&] { dead = true; });
    std::atomic<int> looks = 0;
    std::promise<void> enough;
    const Periodic others(milliseconds(1), [&] {
      if (++looks == 20) enough.set_value();
    });
    enough.get_future().wait();
  }
  EXPECT_FALSE(dead);
}

}  // namespace
}  // namespace tributary::server
