#include "client/doctor_server.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "client/proxy.h"
#include "client/proxy_channel.h"
#include "core/files.h"
#include "core/sha256.h"
#include "core/text.h"
#include "security/grpc_credentials.h"
#include "security/host_lookup.h"
#include "security/key_file.h"
#include "security/reach.h"
#include "security/server_probe.h"
#include "tributary/v1/federation.grpc.pb.h"

namespace tributary::client {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr milliseconds kStepLimit{15'000};
constexpr std::int64_t kFewDays = 30;
constexpr microseconds kClockWarning{std::chrono::seconds(30)};
constexpr microseconds kClockFailure{std::chrono::seconds(300)};  // ValidFrom()'s leeway

std::int64_t DaysUntil(Timestamp end, Timestamp now) {
  return std::chrono::floor<std::chrono::days>(end - now).count();
}

std::string Date(Timestamp time) { return FormatTimestamp(time).substr(0, 10); }

// Adds "valid until ..." to what was found, and says so when that is soon or over.
Check JudgeValidity(const std::string& name, std::string found, const std::string& pem,
                    Timestamp now, const std::string& advice) {
  const auto validity = security::CertificateValidity(pem);
  if (!validity.ok()) return Failed(name, validity.status().message(), advice);
  if (now < validity->not_before) {
    return Failed(name, found + "; not valid before " + FormatTimestamp(validity->not_before),
                  "look at this machine's clock; " + advice);
  }
  if (now >= validity->not_after) {
    return Failed(name, found + "; ended on " + Date(validity->not_after), advice);
  }
  const std::int64_t days = DaysUntil(validity->not_after, now);
  found += "; valid for " + std::to_string(days) + " days, until " + Date(validity->not_after);
  return days < kFewDays ? Warned(name, std::move(found), advice) : Passed(name, std::move(found));
}

Check CheckCertificate(const ClientConfig& config, Timestamp now) {
  const std::string name = "certificate";
  const std::string advice =
      "ask the lead for a token, and run `tributary-client join` into a new directory";
  const auto pem = ReadFile(config.tls.certificate);
  if (!pem.ok()) return Failed(name, pem.status().message(), advice);
  const auto identity = security::CertificateIdentity(*pem);
  if (!identity.ok()) return Failed(name, identity.status().message(), advice);
  const std::string role(security::RoleName(identity->role));
  const std::string found = role + " " + identity->name + " of " + identity->federation;
  if (identity->role != security::Role::kSite) {
    return Failed(name, found + "; a daemon needs the certificate of a site", advice);
  }
  return JudgeValidity(name, found, *pem, now, advice);
}

Check CheckKey(const ClientConfig& config) {
  const std::string name = "key";
  const auto key = security::ReadKeyFile(config.tls.key);
  if (!key.ok()) {
    return Failed(name, key.status().message(),
                  "it belongs to this user alone, mode 0600; a lost key is replaced by a new join");
  }
  const auto certificate = ReadFile(config.tls.certificate);
  if (!certificate.ok()) return Skipped(name, "there is no certificate to compare it with");
  if (const Status status = security::CheckKeyMatches(*certificate, *key); !status.ok()) {
    return Failed(name, status.message(),
                  "tls.certificate and tls.key must come from one `tributary-client join`");
  }
  return Passed(name, config.tls.key + ": for this user alone; belongs to the certificate");
}

Check CheckAuthority(const ClientConfig& config, Timestamp now) {
  const std::string name = "authority";
  const std::string advice = "tls.ca is the ca.crt that `tributary-client join` wrote";
  const auto pem = ReadFile(config.tls.ca);
  if (!pem.ok()) return Failed(name, pem.status().message(), advice);
  const auto fingerprint = security::CertificateFingerprint(*pem);
  if (!fingerprint.ok()) return Failed(name, fingerprint.status().message(), advice);
  return JudgeValidity(name, *fingerprint, *pem, now,
                       "ask the federation's operator for its new authority");
}

Check DescribeProxy(const ProxyChoice& proxy) {
  const std::string name = "proxy";
  if (!proxy.trouble.empty()) {
    return Warned(name, proxy.trouble, "set https_proxy=http://HOST:PORT where the daemon starts");
  }
  if (proxy.in_use) {
    return Passed(name, proxy.host + ":" + std::to_string(proxy.port) + ", from " + proxy.variable +
                            (proxy.has_password ? ", with a password" : ""));
  }
  if (!proxy.exempted_by.empty()) {
    return Passed(name,
                  "none: \"" + proxy.exempted_by + "\" of no_proxy, in spite of " + proxy.variable);
  }
  return Passed(name, proxy.variable.empty() ? "none" : "none: " + proxy.variable + " is empty");
}

bool Await(int fd, short events, std::chrono::steady_clock::time_point end) {
  while (true) {
    const auto left =
        std::chrono::ceil<milliseconds>(end - std::chrono::steady_clock::now()).count();
    if (left <= 0) return false;
    pollfd wait{fd, events, 0};
    const int ready = poll(&wait, 1, static_cast<int>(left));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

// The head of the proxy's answer to a CONNECT; what follows it stays in the socket.
Result<std::string> AnswerTo(int fd, const std::string& request) {
  constexpr std::size_t kMaxHead = 8192;
  const auto end = std::chrono::steady_clock::now() + kStepLimit;
  if (send(fd, request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    return ErrnoError("send to the proxy", errno);
  }
  std::string head;
  while (!head.ends_with("\r\n\r\n") && head.size() < kMaxHead) {
    if (!Await(fd, POLLIN, end)) return DeadlineExceededError("the proxy does not answer");
    char c = 0;  // one by one: a byte too many would be the server's
    const ssize_t got = recv(fd, &c, 1, 0);
    if (got == 0) return UnavailableError("the proxy hung up");
    if (got < 0 && errno != EINTR && errno != EAGAIN) return ErrnoError("proxy", errno);
    if (got == 1) head += c;
  }
  return head;
}

Status OpenTunnel(int fd, const std::string& server) {
  TRIBUTARY_ASSIGN_OR_RETURN(
      const std::string head,
      AnswerTo(fd, "CONNECT " + server + " HTTP/1.1\r\nHost: " + server + "\r\n\r\n"));
  const std::string line = head.substr(0, head.find('\r'));
  const std::size_t space = line.find(' ');
  if (line.starts_with("HTTP/") && space != line.npos && line.substr(space + 1).starts_with("2")) {
    return OkStatus();
  }
  return UnavailableError("the proxy refuses " + server + ": " + Excerpt(line, 120));
}

std::string Joined(const std::vector<std::string>& texts) {
  std::string joined;
  for (const std::string& text : texts) {
    if (joined.find(text) == joined.npos) joined += (joined.empty() ? "" : ", ") + text;
  }
  return joined;
}

// One step after the other, until one fails.
class Reach {
 public:
  explicit Reach(const ClientConfig& config) : config_(config) {}

  Checks Run(const Clock& clock) {
    const auto server = SplitHostAndPort(config_.server);
    if (!server) {
      return {Failed("server name", "\"" + Excerpt(config_.server) + "\" is not host:port",
                     "correct server")};
    }
    server_ = *server;
    proxy_ = ChooseProxy(server_, VariableOfProcess);
    checks_.push_back(DescribeProxy(proxy_));
    if (!LookUp() || !Connect() || !ShakeHands(clock.Now())) {
      checks_.push_back(Skipped("server", "it is not reached"));
      return std::move(checks_);
    }
    Call(clock);
    return std::move(checks_);
  }

 private:
  const std::string& Host() const { return proxy_.in_use ? proxy_.host : server_.host; }
  std::uint16_t Port() const { return proxy_.in_use ? proxy_.port : server_.port; }
  std::string Address() const { return Host() + ":" + std::to_string(Port()); }
  bool Add(Check check) {
    const bool goes_on = check.outcome != Outcome::kFailed;
    checks_.push_back(std::move(check));
    return goes_on;
  }

  bool LookUp() {
    const auto addresses =
        security::LookUpHost(Host(), Port(), std::chrono::steady_clock::now() + kStepLimit);
    if (addresses.ok()) {
      std::vector<std::string> texts;
      for (const security::HostAddress& address : *addresses) texts.push_back(address.Text());
      return Add(Passed("server name", Host() + ": " + Joined(texts)));
    }
    return Add(Failed("server name", Host() + ": " + addresses.status().message(),
                      proxy_.in_use ? "correct " + proxy_.variable
                                    : "correct server; if only a proxy knows names outside, set "
                                      "https_proxy"));
  }

  bool Connect() {
    const auto before = std::chrono::steady_clock::now();
    auto connected = security::ConnectToHost(Host(), Port(), kStepLimit);
    if (!connected.ok()) {
      return Add(Failed("server TCP", Address() + ": " + connected.status().message(),
                        proxy_.in_use
                            ? "ask your center whether this proxy is right"
                            : "is the server up? does the center let this port out, or only "
                              "through a proxy (https_proxy)?"));
    }
    socket_ = *std::move(connected);
    const auto took = std::chrono::round<milliseconds>(std::chrono::steady_clock::now() - before);
    std::string found = Address() + " in " + std::to_string(took.count()) + " ms";
    if (!proxy_.in_use) return Add(Passed("server TCP", std::move(found)));
    if (proxy_.has_password) {  // gRPC alone handles it
      socket_.Reset();
      return Add(Passed("server TCP", found + ", the proxy"));
    }
    if (const Status status = OpenTunnel(socket_.get(), config_.server); !status.ok()) {
      return Add(Failed("server TCP", status.message(),
                        "ask your center to let the proxy connect to " + config_.server));
    }
    return Add(Passed("server TCP", found + ", the proxy; it connects to " + config_.server));
  }

  bool ShakeHands(Timestamp now) {
    const std::string name = "server TLS";
    if (!socket_.valid()) return Add(Skipped(name, "behind a proxy with a password"));
    const std::string& host = config_.server_name.empty() ? server_.host : config_.server_name;
    const auto chain = security::FetchServerChain(socket_.get(), host, kStepLimit);
    socket_.Reset();
    if (!chain.ok()) {
      return Add(Failed(name, chain.status().message(),
                        "is this the federation's server? a proxy or firewall may break TLS"));
    }
    const auto ca = ReadFile(config_.tls.ca);
    const auto expected = security::CertificateFingerprint(ca.ok() ? *ca : "");
    if (!expected.ok()) return Add(Skipped(name, "there is no authority to compare with"));
    std::string last = "no certificate";
    for (const std::string& certificate : *chain) {
      last = security::CertificateFingerprint(certificate).ok()
                 ? *security::CertificateFingerprint(certificate)
                 : "what is none";
      if (last == *expected) {
        if (const Status named = security::CheckCertificateName(chain->front(), host);
            !named.ok()) {
          return Add(Failed(name, named.message(), "correct server or server_name"));
        }
        return Add(JudgeValidity(name, "TLS 1.3, the authority's server", chain->front(), now,
                                 "tell the federation's operator"));
      }
    }
    return Add(Failed(name, "the server presents the authority " + last + ", not " + *expected,
                      "another federation's server, or something between that opens TLS: compare "
                      "the fingerprint with the lead's"));
  }

  void Call(const Clock& clock) {
    const auto stub = Stub();
    if (!stub.ok()) {
      Add(Skipped("server", "certificate, key or authority cannot be used"));
      return;
    }
    v1::UploadStatusRequest request;  // of a blob that nobody has: it changes nothing
    request.set_digest(Sha256Of("tributary-client doctor").ToHex());
    v1::UploadStatusResponse response;
    grpc::Status status = Ask(**stub, request, &response);
    const Timestamp before = clock.Now();
    if (status.ok()) status = Ask(**stub, request, &response);  // without the handshakes
    const Timestamp after = clock.Now();
    if (!status.ok()) return Refused(status);
    const auto round_trip = after - before;
    Add(Passed("server", "accepts this site's certificate; answers in " +
                             std::to_string(std::chrono::ceil<milliseconds>(round_trip).count()) +
                             " ms"));
    if (response.server_time_us() == 0) {
      Add(Skipped("clock", "this server is older and does not tell its time"));
      return;
    }
    Add(JudgeClock(before + round_trip / 2, TimestampFromMicros(response.server_time_us()),
                   round_trip));
  }

  void Refused(const grpc::Status& status) {
    const bool about_us = status.error_code() == grpc::StatusCode::UNAUTHENTICATED ||
                          status.error_code() == grpc::StatusCode::PERMISSION_DENIED;
    Add(Failed("server", Excerpt(status.error_message(), 300),
               about_us ? "ask the lead whether this site is still a member"
                        : "look at server_name, which must be in the server's certificate, and at "
                          "the server's log"));
  }

  Result<std::unique_ptr<v1::Federation::Stub>> Stub() const {
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string ca, security::ReadCertificateFile(config_.tls.ca));
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string certificate,
                               security::ReadCertificateFile(config_.tls.certificate));
    TRIBUTARY_ASSIGN_OR_RETURN(auto key, security::ReadKeyFile(config_.tls.key));
    TRIBUTARY_ASSIGN_OR_RETURN(const auto credentials,
                               security::MakeChannelCredentials(
                                   ca, security::CertificateAndKey{certificate, std::move(key)}));
    grpc::ChannelArguments arguments;  // the proxy as the daemon has it
    if (!config_.server_name.empty()) arguments.SetSslTargetNameOverride(config_.server_name);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    SetProxy(config_.server, &arguments);
    return v1::Federation::NewStub(
        grpc::CreateCustomChannel(config_.server, credentials, arguments));
  }

  static grpc::Status Ask(v1::Federation::Stub& stub, const v1::UploadStatusRequest& request,
                          v1::UploadStatusResponse* response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kStepLimit);
    return stub.UploadStatus(&context, request, response);
  }

  const ClientConfig& config_;
  HostAndPort server_;
  ProxyChoice proxy_;
  FileDescriptor socket_;
  Checks checks_;
};

}  // namespace

Checks CheckCredentials(const ClientConfig& config, Timestamp now) {
  return {CheckCertificate(config, now), CheckKey(config), CheckAuthority(config, now)};
}

Checks CheckServer(const ClientConfig& config, const Clock& clock) {
  return Reach(config).Run(clock);
}

Check JudgeClock(Timestamp here, Timestamp server, microseconds round_trip) {
  const auto skew = here - server;
  const auto size = std::max<microseconds>(microseconds(std::abs(skew.count())) - round_trip / 2,
                                           microseconds(0));
  std::array<char, 80> text{};
  std::snprintf(text.data(), text.size(), "%.1f s %s the server's, give or take %.1f s",
                std::abs(static_cast<double>(skew.count())) / 1e6,
                skew.count() < 0 ? "behind" : "ahead of",
                static_cast<double>(round_trip.count()) / 2e6);
  const std::string advice =
      "compare both with a time service (chronyc tracking, timedatectl) and tell who runs the one "
      "that is wrong";
  if (size >= kClockFailure) return Failed("clock", text.data(), advice);
  if (size >= kClockWarning) return Warned("clock", text.data(), advice);
  return Passed("clock", text.data());
}

}  // namespace tributary::client
