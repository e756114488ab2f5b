#include "server/enrollment_service.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include "tests/core/test_files.h"
#include "tests/server/engine_harness.h"

namespace tributary::server {
namespace {

class NoActions final : public ActionSink {
 public:
  void Perform(const Action&, const State&) override {}
  void Tick(const State&, bool) override {}
};

class EnrollmentServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto validity = security::ValidFrom(clock_.Now(), security::kDefaultLifetime);
    authority_ = *security::CreateCertificateAuthority("fed", validity);
    csr_ = *security::MakeCertificateRequest(*security::PrivateKey::Generate());
    tokens_ = *TokenStore::Open(directory_ / "tokens.db");
    Serve();
  }
  ~EnrollmentServiceTest() override { Stop(); }

  void Serve() {
    runner_ = *EngineRunner::Open(directory_ / "journal.db", clock_, sink_);
    service_ = std::make_unique<EnrollmentService>("fed", *authority_, std::chrono::hours(1),
                                                   clock_, *tokens_, *runner_, workers_);
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    stub_ = v1::Enrollment::NewStub(grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                                                        grpc::InsecureChannelCredentials()));
    runner_->Start();
  }
  void Stop() {
    server_->Shutdown();
    server_.reset();
    runner_->Stop();
  }
  grpc::Status Enroll(const std::string& token) {
    grpc::ClientContext context;
    v1::EnrollRequest request;
    request.set_token(token);
    request.set_csr_pem(csr_);
    return stub_->Enroll(&context, request, &response_);
  }
  std::string NewToken(security::Role role = security::Role::kSite) {
    return tokens_->Create(role, "chem", clock_.Now(), std::chrono::hours(1))->token;
  }

  const TestDirectory directory_;
  SystemClock clock_;
  NoActions sink_;
  WorkerPool workers_{1};
  std::optional<security::CertificateAuthority> authority_;
  std::string csr_;
  std::unique_ptr<TokenStore> tokens_;
  std::unique_ptr<EngineRunner> runner_;
  std::unique_ptr<EnrollmentService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::Enrollment::Stub> stub_;
  v1::EnrollResponse response_;
};

TEST_F(EnrollmentServiceTest, ATokenIsUsedUpWhenTheJournalKnowsItsSite) {
  const std::string token = NewToken();
  runner_->Stop();  // as a journal that cannot be written answers
  EXPECT_EQ(Enroll(token).error_code(), grpc::StatusCode::UNAVAILABLE);
  Stop();
  runner_.reset();
  Serve();
  const grpc::Status status = Enroll(token);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(Enroll(token).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  Stop();
  runner_ = nullptr;
  runner_ = *EngineRunner::Open(directory_ / "journal.db", clock_, sink_);
  EXPECT_EQ(runner_->recovered_state().sites.at("chem").certificate_fingerprint,
            *security::CertificateFingerprint(response_.certificate_pem()));
  runner_ = nullptr;
  Serve();
}

TEST_F(EnrollmentServiceTest, PeopleAreNotSites) {
  EXPECT_TRUE(Enroll(NewToken(security::Role::kLead)).ok());
  Stop();
  runner_ = nullptr;
  runner_ = *EngineRunner::Open(directory_ / "journal.db", clock_, sink_);
  EXPECT_TRUE(runner_->recovered_state().sites.empty());
  runner_ = nullptr;
  Serve();
}

TEST_F(EnrollmentServiceTest, AnAddressHasManySitesButIsNoFlood) {
  for (int site = 0; site < 60; ++site) {
    EXPECT_EQ(Enroll("guess").error_code(), grpc::StatusCode::UNAUTHENTICATED);
  }
  grpc::Status status;
  for (int i = 0; i < 1000 && status.error_code() != grpc::StatusCode::RESOURCE_EXHAUSTED; ++i) {
    status = Enroll("guess");
  }
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), testing::HasSubstr("wait for a minute"));
}

}  // namespace
}  // namespace tributary::server
