#include "server/rpc_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <optional>

#include "security/key_file.h"
#include "security/pki.h"
#include "server/event_codec.h"
#include "server/journal.h"
#include "tests/core/test_files.h"
#include "tests/server/engine_harness.h"

namespace tributary::server {
namespace {

using testing::HasSubstr;

class RpcServerTest : public testing::Test {
 protected:
  void SetUp() override {
    const Timestamp now = SystemClock().Now();
    const auto validity = security::ValidFrom(now, security::kDefaultLifetime);
    const auto authority = *security::CreateCertificateAuthority("fed", validity);
    const auto key = *security::PrivateKey::Generate();
    const std::vector<std::string> names = {"127.0.0.1"};
    const auto certificate = security::IssueServerCertificate(
        authority, *security::MakeCertificateRequest(key), names, validity);
    ASSERT_TRUE(certificate.ok()) << certificate.status();
    config_.tls = {directory_ / "ca.crt", directory_ / "ca.key", directory_ / "server.crt",
                   directory_ / "server.key"};
    ASSERT_TRUE(WriteFileAtomic(config_.tls.ca, authority.certificate_pem).ok());
    ASSERT_TRUE(WriteFileAtomic(config_.tls.certificate, *certificate).ok());
    ASSERT_TRUE(security::WriteKeyFile(config_.tls.ca_key, authority.key).ok());
    ASSERT_TRUE(security::WriteKeyFile(config_.tls.key, key).ok());
    config_.federation = "fed";
    config_.listen = "127.0.0.1:0";
    config_.data_dir = directory_ / "data";
    ASSERT_TRUE(MakeDirectories(config_.data_dir).ok());
  }
  Journal OpenJournal() {
    return std::move(Journal::Open(config_.data_dir + "/journal.db")).value();
  }
  std::vector<std::string> Events() {
    std::vector<std::string> events;
    const Status read = OpenJournal().Read([&](const JournalEntry& entry) {
      events.push_back(entry.event_json);
      return OkStatus();
    });
    EXPECT_EQ(read, OkStatus());
    return events;
  }

  const TestDirectory directory_;
  ServerConfig config_;
};

// Whoever restarts it time and again because of the port must not lose the round that was closed.
TEST_F(RpcServerTest, AStartWithoutItsPortBeginsNothing) {
  EngineHarness engine;
  engine.Start({"a"});
  engine.Update("c.r1.a.t1");
  std::vector<JournalEntry> entries;
  for (const Logged& logged : engine.log) entries.push_back({0, logged.at, logged.event});
  ASSERT_TRUE(OpenJournal().Append(entries).ok());
  auto other = std::make_optional<FileDescriptor>(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const raw = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(bind(other->get(), raw, size), 0);
  ASSERT_EQ(listen(other->get(), 1), 0);
  ASSERT_EQ(getsockname(other->get(), raw, &size), 0);
  config_.listen = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  for (int start = 0; start < 3; ++start) {
    const Status status = RpcServer::Start(config_).status();
    EXPECT_THAT(status.message(), HasSubstr("is another process using the port?"));
  }
  EXPECT_EQ(Events().size(), entries.size());
  other.reset();
  ASSERT_TRUE(RpcServer::Start(config_).ok());
  EXPECT_GT(Events().size(), entries.size()) << "and one with its port does the work";
}

}  // namespace
}  // namespace tributary::server
