// Who may do what, with the real server: certificates, tokens, roles, policy. Each refusal has its
// reason in the server's log.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <grpcpp/create_channel.h>

#include "cli/campaign_commands.h"
#include "cli/profile.h"
#include "cli/provision.h"
#include "scheduler_adapters/command_runner.h"
#include "security/enroll.h"
#include "security/grpc_credentials.h"
#include "tests/integration/federation_harness.h"

namespace tributary::integration {
namespace {

using testing::HasSubstr;

class AccessTest : public testing::Test {
 protected:
  void SetUp() override {
    auto started = FederationHarness::Start(1);
    ASSERT_TRUE(started.ok()) << started.status();
    harness_ = *std::move(started);
  }

  std::string Path(const std::string& name) const { return harness_->directory() + "/" + name; }

  void ExpectInServerLog(const std::string& text) {
    EXPECT_TRUE(WaitFor(
        [&] {
          const auto log = ReadFile(harness_->ServerLog());
          return log.ok() && log->find(text) != std::string::npos;
        },
        std::chrono::seconds(10)))
        << "not in the log: " << text;
  }

  Status EnrollWith(const std::string& token, const std::string& name) {
    return security::Enroll({harness_->address(), token, harness_->ca_fingerprint(), Path(name)})
        .status();
  }

  Status List(const std::string& profile) {
    auto session = cli::Session::Open({profile, false});
    if (!session.ok()) return session.status();
    return session->Call(&v1::Control::StubInterface::List, v1::ListRequest()).status();
  }

  std::unique_ptr<FederationHarness> harness_;
};

TEST_F(AccessTest, ReusedTokenIsRefused) {
  const auto token = harness_->NewToken("site", "late", 600);
  ASSERT_TRUE(token.ok()) << token.status();
  ASSERT_TRUE(EnrollWith(*token, "first").ok());
  const Status again = EnrollWith(*token, "second");
  EXPECT_EQ(again.code(), StatusCode::kUnauthenticated);
  EXPECT_THAT(again.message(), HasSubstr("already used"));
  ExpectInServerLog("enrollment refused");
  EXPECT_FALSE(PathExists(Path("second/member.crt")));
}

TEST_F(AccessTest, ExpiredTokenIsRefused) {
  const auto token = harness_->NewToken("site", "late", 1);
  ASSERT_TRUE(token.ok()) << token.status();
  const auto expires = std::chrono::steady_clock::now() + std::chrono::milliseconds(1100);
  WaitFor([&] { return std::chrono::steady_clock::now() > expires; });
  const Status status = EnrollWith(*token, "late");
  EXPECT_EQ(status.code(), StatusCode::kUnauthenticated);
  EXPECT_THAT(status.message(), HasSubstr("expired"));
  ExpectInServerLog("expired");
}

TEST_F(AccessTest, InventedTokenIsRefused) {
  const Status status = EnrollWith("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "late");
  EXPECT_EQ(status.code(), StatusCode::kUnauthenticated);
  ExpectInServerLog("enrollment refused");
}

TEST_F(AccessTest, ServerWithAnotherCaIsNotTrustedWithTheToken) {
  const auto token = harness_->NewToken("site", "late", 600);
  ASSERT_TRUE(token.ok());
  const std::string other = "SHA256:" + std::string(64, 'a');
  const auto status = security::Enroll({harness_->address(), *token, other, Path("late")}).status();
  EXPECT_EQ(status.code(), StatusCode::kUnauthenticated);
  EXPECT_THAT(status.message(), HasSubstr(other));
  const auto typing =
      security::Enroll({harness_->address(), *token, "SHA256:12", Path("late")}).status();
  EXPECT_EQ(typing.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(typing.message(), HasSubstr("must be SHA256: and 64 hexadecimal digits"));
  EXPECT_TRUE(EnrollWith(*token, "late").ok()) << "the token must still be unused";
}

TEST_F(AccessTest, ObserverMaySeeButNotSubmit) {
  ASSERT_TRUE(harness_->Enroll("observer", "guest", Path("guest")).ok());
  EXPECT_TRUE(List(Path("guest")).ok());
  const CampaignFile campaign = harness_->Campaign("allowed", 1);
  ASSERT_TRUE(WriteFileAtomic(Path("c.yaml"), PrintYaml(campaign)).ok());
  const Status status = cli::SubmitFile({Path("guest"), false}, Path("c.yaml")).status();
  EXPECT_EQ(status.code(), StatusCode::kPermissionDenied);
  EXPECT_THAT(status.message(), HasSubstr("observer"));
  ExpectInServerLog("role observer may not call");
}

TEST_F(AccessTest, SiteMayNotUseTheControlService) {
  const Status status = List(harness_->SiteHome("site-0"));
  EXPECT_EQ(status.code(), StatusCode::kPermissionDenied);
  ExpectInServerLog("role site may not call List");
}

TEST_F(AccessTest, LeadMayNotCancelAnothersCampaign) {
  ASSERT_TRUE(harness_->Enroll("lead", "other", Path("other")).ok());
  harness_->CloseGate("site-0");
  ASSERT_TRUE(harness_->Submit(harness_->Campaign("allowed", 1)).ok());
  auto session = cli::Session::Open({Path("other"), false});
  ASSERT_TRUE(session.ok());
  v1::CampaignRequest request;
  request.set_campaign("allowed");
  const auto status = session->Call(&v1::Control::StubInterface::Cancel, request);
  EXPECT_EQ(status.status().code(), StatusCode::kPermissionDenied);
  EXPECT_THAT(status.status().message(), HasSubstr("led by lead"));
  harness_->OpenGate("site-0");
}

TEST_F(AccessTest, CallerWithoutCertificateIsRefused) {
  const auto ca = ReadFile(harness_->lead().profile + "/ca.crt");
  ASSERT_TRUE(ca.ok());
  const auto credentials = security::MakeChannelCredentials(*ca, std::nullopt);
  ASSERT_TRUE(credentials.ok());
  const auto stub = v1::Control::NewStub(grpc::CreateChannel(harness_->address(), *credentials));
  grpc::ClientContext context;
  v1::ListResponse response;
  const grpc::Status status = stub->List(&context, v1::ListRequest(), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  ExpectInServerLog("call refused call=List");
}

// As a person does it: the token by a file or standard input, into a directory of one's own.
TEST_F(AccessTest, JoiningNeedsNoTokenOnTheCommandLine) {
  const auto join = [&](const std::string& name, const std::string& input,
                        std::vector<std::string> more) {
    const auto token = harness_->NewToken("site", name, 600);
    EXPECT_TRUE(token.ok() && WriteFileAtomic(Path("token"), *token + "\n").ok());
    std::string line = std::string(TRIBUTARY_BIN_DIR "/tributary-client join --server ") +
                       harness_->address() + " --ca-fingerprint " + harness_->ca_fingerprint() +
                       " --dir " + Path(name);
    for (const std::string& word : more) line += " " + word;
    scheduler_adapters::CommandRunner runner({.timeout = std::chrono::seconds(60)});
    const auto result = runner.Run({"/bin/sh", "-c", line + " <" + input + " 2>&1"});
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *result : scheduler_adapters::CommandResult();
  };
  EXPECT_THAT(join("one", Path("token"), {}).out, HasSubstr("joined federation test as site one"));
  EXPECT_THAT(join("two", "/dev/null", {"--token-file", Path("token")}).out,
              HasSubstr("joined federation test as site two"));
  EXPECT_THAT(join("none", "/dev/null", {}).out, HasSubstr("there is no token"));
  // Another name in the certificate: said in words, and nothing of gRPC's.
  const auto named = join("named", Path("token"), {"--server-name", "fed.example.org"});
  EXPECT_THAT(named.out, HasSubstr("is for 127.0.0.1, not for fed.example.org"));
  EXPECT_THAT(named.out, testing::Not(HasSubstr(".cc:")));
  // What is there stays.
  ASSERT_TRUE(MakeDirectories(Path("taken")).ok());
  ASSERT_TRUE(WriteFileAtomic(Path("taken/ca.crt"), "another's").ok());
  EXPECT_THAT(join("taken", Path("token"), {}).out, HasSubstr("ca.crt is there"));
  EXPECT_EQ(*ReadFile(Path("taken/ca.crt")), "another's");
  // A file that was copied.
  ASSERT_TRUE(MakeDirectories(Path("copied")).ok());
  ASSERT_TRUE(WriteFileAtomic(Path("copied/client.yaml"),
                              "server: fed.example.org:8443\njob: {trainer: [/bin/true]}\n")
                  .ok());
  EXPECT_THAT(join("copied", Path("token"), {}).out,
              HasSubstr("names the server fed.example.org:8443, but this site joined"));
}

TEST_F(AccessTest, AFederationCanLiveAtAnAddressOfSixteenBytes) {
  cli::ProvisionOptions options;
  options.name = "six";
  options.directory = Path("six");
  options.hosts = {"::1"};
  options.listen = "[::1]";
  options.port = 0;
  const auto made = cli::Provision(options);
  ASSERT_TRUE(made.ok()) << made.status();
  auto server = ChildProcess::Start({TRIBUTARY_BIN_DIR "/tributary-server", "--config",
                                     made->server_config, "--port-file", Path("port6")},
                                    Path("six.log"));
  ASSERT_TRUE(server.ok());
  ASSERT_TRUE(WaitFor([&] { return PathExists(Path("port6")) || server->Poll(); }));
  if (!PathExists(Path("port6"))) {
    const std::string log = *ReadFile(Path("six.log"));
    if (log.find("cannot open") != log.npos) GTEST_SKIP() << "no IPv6 here: " << log;
    FAIL() << log;
  }
  ASSERT_TRUE(
      cli::WriteProfile(made->lead_profile, {"[::1]:" + *ReadFile(Path("port6")), ""}).ok());
  EXPECT_TRUE(List(made->lead_profile).ok()) << List(made->lead_profile);
}

TEST_F(AccessTest, CertificateOfAnotherAuthorityIsRefused) {
  cli::ProvisionOptions options;
  options.name = "test";  // the same name proves nothing
  options.directory = Path("forged");
  options.hosts = {"127.0.0.1"};
  ASSERT_TRUE(cli::Provision(options).ok());
  const std::string forged = Path("forged/lead");
  const auto ca = ReadFile(harness_->lead().profile + "/ca.crt");
  const auto profile = ReadFile(harness_->lead().profile + "/profile.yaml");
  ASSERT_TRUE(ca.ok() && profile.ok());
  ASSERT_TRUE(WriteFileAtomic(forged + "/ca.crt", *ca).ok());
  ASSERT_TRUE(WriteFileAtomic(forged + "/profile.yaml", *profile).ok());
  EXPECT_EQ(List(forged).code(), StatusCode::kUnavailable);
  ExpectInServerLog("certificate verify failed");
}

TEST_F(AccessTest, CampaignThatThePolicyForbidsIsRefusedWithTheReason) {
  ASSERT_TRUE(harness_->Submit(harness_->Campaign("forbidden", 1)).ok());
  std::string note;
  EXPECT_TRUE(WaitFor([&] {
    const auto status = harness_->Show("forbidden");
    note = status.ok() ? status->note() : "";
    return note.find("is not in policy.campaigns") != std::string::npos;
  })) << note;
  EXPECT_EQ(harness_->JobStarts("site-0"), 0);
}

TEST_F(AccessTest, CampaignWhoseDataAreMissingIsRefusedBeforeAnyJob) {
  ASSERT_TRUE(RemoveFile(harness_->SiteHome("site-0") + "/none.jsonl").ok());
  ASSERT_TRUE(harness_->Submit(harness_->Campaign("allowed", 1)).ok());
  std::string note;
  EXPECT_TRUE(WaitFor([&] {
    const auto status = harness_->Show("allowed");
    note = status.ok() ? status->note() : "";
    return note.find("data none of this site is not there") != std::string::npos;
  })) << note;
  EXPECT_EQ(harness_->JobStarts("site-0"), 0);
}

// The two would run every task twice, and take the connection from each other for ever.
TEST_F(AccessTest, ASecondDaemonOfASiteWaitsUntilTheFirstIsGone) {
  const std::string first = harness_->SiteHome("site-0");
  const std::string twin = harness_->SiteHome("twin");
  ASSERT_TRUE(MakeDirectories(twin).ok());
  for (const char* name : {"/ca.crt", "/member.crt", "/member.key", "/client.yaml"}) {
    ASSERT_TRUE(WriteFileAtomic(twin + name, *ReadFile(first + name)).ok());
  }
  const auto says = [](const std::string& home, const std::string& text) {
    const auto log = ReadFile(home + "/client.log");
    return log.ok() && log->find(text) != std::string::npos;
  };
  ASSERT_TRUE(WaitFor([&] { return says(first, "client: connected"); }));
  ASSERT_TRUE(harness_->StartClient("twin").ok());
  EXPECT_TRUE(WaitFor([&] { return says(twin, "site site-0 is served by another daemon"); }));
  EXPECT_FALSE(says(first, "disconnected"));
  ExpectInServerLog("site turned away site=site-0");
  harness_->KillClient("site-0");
  EXPECT_TRUE(WaitFor([&] { return says(twin, "client: connected"); }));
}

TEST_F(AccessTest, ClientRefusesAKeyFileThatOthersCanRead) {
  const std::string home = harness_->SiteHome("site-0");
  harness_->KillClient("site-0");
  ASSERT_EQ(chmod((home + "/member.key").c_str(), 0644), 0);
  ASSERT_TRUE(harness_->StartClient("site-0").ok());
  EXPECT_TRUE(WaitFor([&] {
    const auto out = ReadFile(home + "/client.out");
    return out.ok() && out->find("chmod 600") != std::string::npos;
  }));
}

}  // namespace
}  // namespace tributary::integration
