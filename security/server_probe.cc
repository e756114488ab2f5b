#include "security/server_probe.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/endpoint.h"
#include "core/files.h"
#include "core/text.h"
#include "security/host_lookup.h"
#include "security/openssl.h"
#include "security/pki.h"

namespace tributary::security {
namespace {

using Deadline = std::chrono::steady_clock::time_point;

// OpenSSL writes with write(2): a server that hangs up must not end this process with SIGPIPE.
class SigpipeBlocked {
 public:
  SigpipeBlocked() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~SigpipeBlocked() {
    const timespec now{};
    if (sigismember(&before_, SIGPIPE) == 0) sigtimedwait(&pipe_, nullptr, &now);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  SigpipeBlocked(const SigpipeBlocked&) = delete;
  SigpipeBlocked& operator=(const SigpipeBlocked&) = delete;

 private:
  sigset_t pipe_{}, before_{};
};

// False when the deadline passed.
bool WaitFor(int fd, short events, Deadline deadline) {
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd wait{fd, events, 0};
    const int ready = poll(&wait, 1, static_cast<int>(std::min<std::int64_t>(left.count(), 60000)));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

Result<FileDescriptor> ConnectTo(const HostAddress& address, Deadline deadline) {
  FileDescriptor socket_fd(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket_fd.valid()) return ErrnoError("socket", errno);
  if (connect(socket_fd.get(), address.get(), address.size) == 0) return socket_fd;
  if (errno != EINPROGRESS) return ErrnoError("connect", errno);
  if (!WaitFor(socket_fd.get(), POLLOUT, deadline))
    return DeadlineExceededError("connect: timed out");
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(socket_fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return ErrnoError("connect", error);
  return socket_fd;
}

Result<FileDescriptor> Connect(const std::string& host, std::uint16_t port, Deadline deadline) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto addresses, LookUpHost(host, port, deadline));
  Status last = OkStatus();
  for (const HostAddress& address : addresses) {
    Result<FileDescriptor> connected = ConnectTo(address, deadline);
    if (connected.ok()) return connected;
    last = connected.status();
  }
  return Status(StatusCode::kUnavailable, last.message());
}

Result<SslPtr> Handshake(SSL_CTX* context, const std::string& host, int fd, Deadline deadline) {
  constexpr std::array<unsigned char, 3> kHttp2 = {2, 'h', '2'};
  SslPtr ssl(SSL_new(context));
  if (!ssl || SSL_set_fd(ssl.get(), fd) != 1 ||
      SSL_set_alpn_protos(ssl.get(), kHttp2.data(), kHttp2.size()) != 0 ||
      SSL_set_tlsext_host_name(ssl.get(), host.c_str()) != 1) {
    return OpenSslError(StatusCode::kInternal, "prepare TLS");
  }
  while (true) {
    ERR_clear_error();
    errno = 0;
    const int done = SSL_connect(ssl.get());
    if (done == 1) return ssl;
    const int reason = SSL_get_error(ssl.get(), done);
    const bool read = reason == SSL_ERROR_WANT_READ;
    if (!read && reason != SSL_ERROR_WANT_WRITE) {
      return OpenSslError(StatusCode::kUnavailable,
                          "the server did not complete a TLS 1.3 handshake");
    }
    if (!WaitFor(fd, read ? POLLIN : POLLOUT, deadline)) {
      return DeadlineExceededError("TLS handshake: timed out");
    }
  }
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return lower;
}

Result<std::vector<std::string>> ChainOf(SSL* ssl) {
  const STACK_OF(X509)* chain = SSL_get_peer_cert_chain(ssl);
  std::vector<std::string> certificates;
  for (int i = 0; chain != nullptr && i < sk_X509_num(chain); ++i) {
    TRIBUTARY_ASSIGN_OR_RETURN(std::string pem, CertificateToPem(sk_X509_value(chain, i)));
    certificates.push_back(std::move(pem));
  }
  return certificates;
}

Result<std::vector<std::string>> ChainBehind(int socket_fd, const std::string& host,
                                             Deadline deadline) {
  const SslCtxPtr context(SSL_CTX_new(TLS_client_method()));
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) != 1) {
    return OpenSslError(StatusCode::kInternal, "prepare TLS");
  }
  const SigpipeBlocked no_sigpipe;
  // No trust here: the caller judges what it gets.
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  TRIBUTARY_ASSIGN_OR_RETURN(const SslPtr ssl, Handshake(context.get(), host, socket_fd, deadline));
  return ChainOf(ssl.get());
}

Result<std::string> FindInChain(const std::vector<std::string>& chain,
                                std::string_view fingerprint) {
  std::string last = "no certificate";
  for (const std::string& certificate : chain) {
    TRIBUTARY_ASSIGN_OR_RETURN(last, CertificateFingerprint(certificate));
    if (LowerCase(last) == LowerCase(fingerprint)) return certificate;
  }
  return UnauthenticatedError(
      "the server presents the CA " + last + ", not " + Excerpt(fingerprint, 100) +
      "; check the server's address and the fingerprint given with the token");
}

}  // namespace

Result<FileDescriptor> ConnectToHost(const std::string& host, std::uint16_t port,
                                     std::chrono::milliseconds timeout) {
  return Connect(host, port, std::chrono::steady_clock::now() + timeout);
}

Result<std::vector<std::string>> FetchServerChain(int socket_fd, const std::string& host,
                                                  std::chrono::milliseconds timeout) {
  return ChainBehind(socket_fd, host, std::chrono::steady_clock::now() + timeout);
}

Result<std::string> FetchServerCa(const std::string& host, std::uint16_t port,
                                  std::string_view fingerprint, std::chrono::milliseconds timeout) {
  const std::string where = JoinHostAndPort(Excerpt(host, 253), port);
  const Deadline deadline = std::chrono::steady_clock::now() + timeout;
  Result<FileDescriptor> socket_fd = Connect(host, port, deadline);
  if (!socket_fd.ok()) return socket_fd.status().Annotate(where);
  const auto chain = ChainBehind(socket_fd->get(), host, deadline);
  if (!chain.ok()) return chain.status().Annotate(where);
  return FindInChain(*chain, fingerprint).Annotate(where);
}

}  // namespace tributary::security
