#include "security/grpc_credentials.h"

#include <arpa/inet.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "security/openssl.h"
#include "security/server_probe.h"
#include "tests/security/test_federation.h"

namespace tributary::security {
namespace {

[[maybe_unused]] const bool kTls13Only = (RequireTls13(), true);  // before gRPC's first use

grpc::ByteBuffer ToBuffer(const std::string& text) {
  grpc::Slice slice(text);
  return {&slice, 1};
}
std::string ToText(const grpc::ByteBuffer& buffer) {
  grpc::Slice slice;
  return buffer.TrySingleSlice(&slice).ok()
             ? std::string(reinterpret_cast<const char*>(slice.begin()), slice.size())
             : "";
}

// Answers every call with who the server takes the caller for.
class WhoAmI final : public grpc::CallbackGenericService {
  class Answer final : public grpc::ServerGenericBidiReactor {
   public:
    explicit Answer(const grpc::AuthContext& context) {
      const Result<Identity> identity = PeerIdentity(context);
      answer_ = ToBuffer(identity.ok() ? identity->ToUri() : identity.status().ToString());
      StartWriteAndFinish(&answer_, grpc::WriteOptions(), grpc::Status::OK);
    }
    void OnDone() override { delete this; }

   private:
    grpc::ByteBuffer answer_;
  };

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    return new Answer(*context->auth_context());
  }
};

class TestServer {
 public:
  TestServer(const std::string& ca, const TestMember& server) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0",
                             *MakeServerCredentials(ca, {server.certificate, server.key}), &port_);
    builder.RegisterCallbackGenericService(&service_);
    server_ = builder.BuildAndStart();
  }
  ~TestServer() { server_->Shutdown(); }
  int port() const { return port_; }

 private:
  int port_ = 0;
  WhoAmI service_;
  std::unique_ptr<grpc::Server> server_;
};

// What the server answered, or "" when there was no connection.
std::string Ask(int port, const std::string& ca, const std::optional<CertificateAndKey>& member,
                const std::string& host = "127.0.0.1") {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto channel = grpc::CreateCustomChannel(host + ":" + std::to_string(port),
                                                 *MakeChannelCredentials(ca, member), arguments);
  grpc::GenericStub stub(channel);
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  const auto call = stub.PrepareUnaryCall(&context, "/test/WhoAmI", ToBuffer("?"), &queue);
  grpc::ByteBuffer answer;
  grpc::Status status;
  call->StartCall();
  call->Finish(&answer, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
  EXPECT_TRUE(status.ok() || status.error_code() == grpc::StatusCode::UNAVAILABLE)
      << status.error_message();
  return status.ok() ? ToText(answer) : "";
}

CertificateAndKey Pair(const TestMember& member) { return {member.certificate, member.key}; }

class GrpcCredentialsTest : public testing::Test {
 protected:
  TestFederation federation_;
  TestMember server_ = federation_.Server({"localhost", "127.0.0.1"});
  TestServer running_{federation_.ca(), server_};
};

TEST_F(GrpcCredentialsTest, MutualTlsTellsTheServerWhoCalls) {
  EXPECT_EQ(Ask(running_.port(), federation_.ca(), Pair(federation_.Member(Role::kSite, "alpha"))),
            "tributary://test/site/alpha");
  EXPECT_EQ(Ask(running_.port(), federation_.ca(), Pair(federation_.Member(Role::kLead, "ann"))),
            "tributary://test/lead/ann");
}

TEST_F(GrpcCredentialsTest, CallerWithoutCertificateConnectsButIsNobody) {
  EXPECT_EQ(Ask(running_.port(), federation_.ca(), std::nullopt),
            "unauthenticated: the caller has no certificate");
}

TEST_F(GrpcCredentialsTest, CertificateOfAnotherAuthorityIsRefused) {
  const TestFederation other;
  EXPECT_EQ(Ask(running_.port(), federation_.ca(), Pair(other.Member(Role::kSite, "alpha"))), "");
}

TEST_F(GrpcCredentialsTest, ServerOfAnotherAuthorityIsRefused) {
  const TestFederation other;
  EXPECT_EQ(Ask(running_.port(), other.ca(), std::nullopt), "");
}

TEST_F(GrpcCredentialsTest, ExpiredCertificatesAreRefused) {
  const Timestamp past = SystemClock().Now() - std::chrono::hours(2);
  const Validity expired = ValidFrom(past, std::chrono::hours(1));
  EXPECT_EQ(Ask(running_.port(), federation_.ca(),
                Pair(federation_.Member(Role::kSite, "alpha", expired))),
            "");
  const TestServer stale(federation_.ca(), federation_.Server({"127.0.0.1"}, expired));
  EXPECT_EQ(Ask(stale.port(), federation_.ca(), std::nullopt), "");
}

TEST_F(GrpcCredentialsTest, MemberCannotPoseAsServerNorServerAsMember) {
  const TestServer impostor(federation_.ca(), federation_.Member(Role::kAdmin, "mallory"));
  EXPECT_EQ(Ask(impostor.port(), federation_.ca(), std::nullopt), "");
  // Not even one whose name is a host's.
  const TestServer namesake(federation_.ca(), federation_.Member(Role::kSite, "localhost"));
  EXPECT_EQ(Ask(namesake.port(), federation_.ca(), std::nullopt, "localhost"), "");
  EXPECT_EQ(Ask(running_.port(), federation_.ca(), Pair(server_)), "");
}

TEST_F(GrpcCredentialsTest, ServerUnderAnotherNameIsRefused) {
  const TestServer elsewhere(federation_.ca(), federation_.Server({"elsewhere.example"}));
  EXPECT_EQ(Ask(elsewhere.port(), federation_.ca(), std::nullopt), "");
}

TEST_F(GrpcCredentialsTest, KeyOfAnotherCertificateIsAnError) {
  const TestMember alpha = federation_.Member(Role::kSite, "alpha");
  const PrivateKey other = *PrivateKey::Generate();
  EXPECT_EQ(MakeChannelCredentials(federation_.ca(), CertificateAndKey{alpha.certificate, other})
                .status()
                .message(),
            "the private key does not belong to the certificate");
  EXPECT_FALSE(MakeServerCredentials(federation_.ca(), {server_.certificate, other}).ok());
  EXPECT_FALSE(MakeChannelCredentials("garbage", std::nullopt).ok());
}

// The version agreed with a plain OpenSSL client that offers nothing above `max_version`; "" when
// refused.
std::string Handshake(int port, int max_version) {
  const SslCtxPtr context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_max_proto_version(context.get(), max_version);
  SSL_CTX_set_security_level(context.get(), 0);
  SSL_CTX_set_cipher_list(context.get(), "ALL");
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const SslPtr ssl(SSL_new(context.get()));
  SSL_set_fd(ssl.get(), fd);
  const unsigned char http2[] = {2, 'h', '2'};
  SSL_set_alpn_protos(ssl.get(), http2, sizeof http2);
  const std::string version = SSL_connect(ssl.get()) == 1 ? SSL_get_version(ssl.get()) : "";
  close(fd);
  return version;
}

TEST_F(GrpcCredentialsTest, OnlyTls13IsSpoken) {
  EXPECT_EQ(Handshake(running_.port(), TLS1_3_VERSION), "TLSv1.3");
  EXPECT_EQ(Handshake(running_.port(), TLS1_2_VERSION), "");
  EXPECT_EQ(Handshake(running_.port(), TLS1_1_VERSION), "");
}

class ServerProbeTest : public GrpcCredentialsTest {
 protected:
  Result<std::string> Fetch(const std::string& fingerprint) {
    return FetchServerCa("127.0.0.1", static_cast<std::uint16_t>(running_.port()), fingerprint,
                         std::chrono::seconds(20));
  }
};

TEST_F(ServerProbeTest, FetchesTheCaWithTheGivenFingerprint) {
  const std::string fingerprint = *CertificateFingerprint(federation_.ca());
  const Result<std::string> ca = Fetch(fingerprint);
  ASSERT_TRUE(ca.ok()) << ca.status();
  EXPECT_EQ(*ca, federation_.ca());
  EXPECT_EQ(Ask(running_.port(), *ca, Pair(federation_.Member(Role::kSite, "alpha"))),
            "tributary://test/site/alpha");
}

TEST_F(ServerProbeTest, AnotherFingerprintIsRefusedShowingBoth) {
  const std::string wanted = *CertificateFingerprint(TestFederation().ca());
  const Status status = Fetch(wanted).status();
  EXPECT_EQ(status.code(), StatusCode::kUnauthenticated);
  EXPECT_NE(status.message().find(wanted), std::string::npos);
  EXPECT_NE(status.message().find(*CertificateFingerprint(federation_.ca())), std::string::npos);
}

// A TCP port that accepts connections and says nothing, or is closed.
class SilentPort {
 public:
  SilentPort() : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(fd_, 1), 0);
    EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
  }
  ~SilentPort() { Close(); }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  std::uint16_t port() const { return port_; }

 private:
  int fd_;
  std::uint16_t port_ = 0;
};

TEST(ServerProbeFailureTest, SilentAndAbsentServersAreErrorsInTime) {
  SilentPort port;
  EXPECT_EQ(FetchServerCa("127.0.0.1", port.port(), "SHA256:00", std::chrono::milliseconds(50))
                .status()
                .code(),
            StatusCode::kDeadlineExceeded);
  port.Close();
  const Status absent =
      FetchServerCa("127.0.0.1", port.port(), "SHA256:00", std::chrono::seconds(20)).status();
  EXPECT_EQ(absent.code(), StatusCode::kUnavailable);
  EXPECT_NE(absent.message().find("connection refused"), std::string::npos) << absent;
  EXPECT_EQ(FetchServerCa("no.such.host.invalid", 1, "SHA256:00", std::chrono::seconds(1))
                .status()
                .code(),
            StatusCode::kUnavailable);
}

}  // namespace
}  // namespace tributary::security
