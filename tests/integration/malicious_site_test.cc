// A member that says what it likes, with a valid certificate, beside an honest site: the server
// stays small and quick, the log short, and the honest site and the people see what they should.
#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <cmath>

#include "cli/profile.h"
#include "core/wire_bounds.h"
#include "security/key_file.h"
#include "security/signature.h"
#include "tests/integration/federation_harness.h"
#include "tributary/v1/federation.grpc.pb.h"

namespace tributary::integration {
namespace {

using testing::HasSubstr;

const std::string kBomb = "\x1b]0;owned\x07\u009b2J\u202e\nfake=line " + std::string(3 << 20, 'x');

// One stream of the member whose files are in `home`.
class MaliciousSite {
 public:
  explicit MaliciousSite(const std::string& home) : home_(home) {
    const auto channel = cli::OpenChannel(home);
    EXPECT_TRUE(channel.ok()) << channel.status();
    stub_ = v1::Federation::NewStub(*channel);
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(2));
    stream_ = stub_->Connect(&context_);
  }
  ~MaliciousSite() {
    context_.TryCancel();
    if (!ended_) (void)stream_->Finish();
  }

  // True when the server welcomed it.
  bool Hello(const std::function<void(v1::Hello&)>& fill = [](v1::Hello&) {}) {
    v1::ClientMessage message;
    message.mutable_hello()->set_protocol_min(1);
    message.mutable_hello()->set_protocol_max(1);
    message.mutable_hello()->set_instance("evil");
    fill(*message.mutable_hello());
    v1::ServerMessage answer;
    return stream_->Write(message) && stream_->Read(&answer) && answer.has_welcome();
  }
  grpc::Status End() {
    ended_ = true;
    return stream_->Finish();
  }
  bool Say(const v1::ClientMessage& message) { return stream_->Write(message); }
  // Reads until the server says something of this kind.
  v1::ServerMessage Await(v1::ServerMessage::KindCase kind) {
    v1::ServerMessage message;
    while (stream_->Read(&message)) {
      if (message.kind_case() == kind) return message;
    }
    ADD_FAILURE() << "the stream ended";
    return {};
  }
  void Answer(const std::string& campaign, bool accepted, const std::string& reason) {
    v1::ClientMessage message;
    message.mutable_campaign_answer()->set_campaign(campaign);
    message.mutable_campaign_answer()->set_accepted(accepted);
    message.mutable_campaign_answer()->set_reason(reason);
    ASSERT_TRUE(Say(message));
  }
  void Report(const v1::Statement& statement) {
    v1::ClientMessage message;
    message.mutable_report()->set_task(statement.task());
    message.mutable_report()->set_statement(statement.SerializeAsString());
    const auto key = security::ReadKeyFile(home_ + "/member.key");
    message.mutable_report()->set_signature(*security::Sign(*key, message.report().statement()));
    ASSERT_TRUE(Say(message));
  }

 private:
  const std::string home_;
  bool ended_ = false;
  std::unique_ptr<v1::Federation::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriterInterface<v1::ClientMessage, v1::ServerMessage>> stream_;
};

class MaliciousSiteTest : public testing::Test {
 protected:
  void SetUp() override {
    auto started = FederationHarness::Start(1);
    ASSERT_TRUE(started.ok()) << started.status();
    harness_ = *std::move(started);
    home_ = harness_->SiteHome("evil");
    ASSERT_TRUE(harness_->Enroll("site", "evil", home_).ok());
  }

  // Over the honest site and the malicious one; one update is enough.
  void Submit(const std::string& name) {
    CampaignFile campaign = harness_->Campaign(name, 1);
    campaign.sites.push_back("evil");
    campaign.pacing.quorum = 1;
    campaign.pacing.deadline = std::chrono::seconds(3600);
    campaign.pacing.attempts = 1;
    campaign.data.evaluate.clear();
    const auto submitted = harness_->Submit(campaign);
    ASSERT_TRUE(submitted.ok()) << submitted.status();
  }
  std::string ServerLog() const {
    const auto log = ReadFile(harness_->ServerLog());
    return log.ok() ? *log : "";
  }
  // What a person's command prints, on both its outputs.
  std::string Tributary(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(),
                     {TRIBUTARY_BIN_DIR "/tributary", "--profile", harness_->lead().profile});
    const std::string log = harness_->directory() + "/out-" + std::to_string(++runs_);
    auto process = ChildProcess::Start(arguments, log);
    EXPECT_TRUE(process.ok());
    EXPECT_TRUE(WaitFor([&] { return process->Poll().has_value(); }));
    return *ReadFile(log);
  }
  static void ExpectHarmless(const std::string& text, std::size_t most) {
    for (const char* bad : {"\x1b", "\x07", "\u009b", "\u202e", "\nfake=line"}) {
      EXPECT_EQ(text.find(bad), std::string::npos) << text.substr(0, 500);
    }
    EXPECT_LT(text.size(), most);
  }

  std::unique_ptr<FederationHarness> harness_;
  std::string home_;
  int runs_ = 0;
};

TEST_F(MaliciousSiteTest, AHelloOfMillionsOfTasksIsRefused) {
  MaliciousSite evil(home_);
  EXPECT_FALSE(evil.Hello([](v1::Hello& hello) {
    for (int i = 0; i < 1'900'000; ++i) hello.add_tasks("");
  }));
  EXPECT_EQ(evil.End().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_LT(ServerLog().size(), 10'000u);
  EXPECT_TRUE(harness_->Show("none").status().code() == StatusCode::kNotFound)
      << "it still answers";
}

TEST_F(MaliciousSiteTest, FloodsAreDroppedAndHoldNobodyUp) {
  harness_->CloseGate("site-0");
  Submit("allowed");
  MaliciousSite evil(home_);
  ASSERT_TRUE(evil.Hello([](v1::Hello& hello) { hello.set_client_version(kBomb); }));
  evil.Await(v1::ServerMessage::kCampaignOffer);
  evil.Answer("allowed", true, "");
  evil.Await(v1::ServerMessage::kTask);
  v1::ClientMessage message;
  message.mutable_progress()->set_task(kBomb);  // no task id
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(evil.Say(message));
  for (int i = 0; i < 20'000; ++i) {  // ids that could be
    message.mutable_progress()->set_task("allowed.x" + std::to_string(i));
    ASSERT_TRUE(evil.Say(message));
  }
  message.mutable_progress()->set_task("allowed.r1.evil.t1");
  message.mutable_progress()->set_phase(kBomb);
  message.mutable_progress()->set_loss(std::nan(""));
  ASSERT_TRUE(evil.Say(message));
  for (int i = 0; i < 20'000; ++i) evil.Answer("allowed", true, "because " + std::to_string(i));
  for (int i = 0; i < 5'000; ++i) evil.Answer("unknown", i % 2 == 0, "x");
  message.mutable_facts()->set_scheduler(kBomb);
  ASSERT_TRUE(evil.Say(message));
  // The honest site's progress is seen nevertheless, and its update closes the round.
  EXPECT_TRUE(WaitFor([&] {
    const auto status = harness_->Show("allowed");
    if (!status.ok()) return false;
    for (const v1::TaskStatus& task : status->tasks()) {
      if (task.site() == "site-0" && task.phase() == "running") return true;
    }
    return false;
  }));
  ExpectHarmless(Tributary({"sites"}), 10'000);
  ExpectHarmless(Tributary({"show", "allowed"}), 10'000);
  const std::string audit = Tributary({"audit", "allowed"});
  EXPECT_LT(std::count(audit.begin(), audit.end(), '\n'), 700)
      << "20,000 answers are not journaled";
  ExpectHarmless(ServerLog(), 200'000);
  EXPECT_THAT(ServerLog(), HasSubstr("message of a site dropped"));
  harness_->OpenGate("site-0");
}

TEST_F(MaliciousSiteTest, ReportsThatAreTooLargeEndTheirTaskAndNothingElse) {
  Submit("allowed");
  MaliciousSite evil(home_);
  ASSERT_TRUE(evil.Hello());
  evil.Await(v1::ServerMessage::kCampaignOffer);
  evil.Answer("allowed", true, "");
  const v1::TaskAssignment task = evil.Await(v1::ServerMessage::kTask).task();
  v1::Statement statement;
  statement.set_task(task.task());
  statement.set_campaign("allowed");
  statement.set_site("evil");
  statement.set_kind(task.kind());
  statement.set_outcome(v1::OUTCOME_FAILED);
  statement.set_message(kBomb);
  for (int i = 0; i < 3; ++i) evil.Report(statement);
  evil.Await(v1::ServerMessage::kReportAck);
  const auto end = harness_->AwaitEnd("allowed");
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->phase(), "completed") << end->note();
  ASSERT_EQ(end->round_history_size(), 1);
  for (const v1::Contribution& c : end->round_history(0).contributions()) {
    EXPECT_EQ(c.outcome(), c.site() == "evil" ? "failed" : "accepted") << c.site();
    if (c.site() == "evil") {
      EXPECT_THAT(c.reason(), HasSubstr("at most 65536"));
    }
  }
  ExpectHarmless(Tributary({"show", "allowed"}), 10'000);
  EXPECT_LT(*FileSize(harness_->directory() + "/server/data/journal.db-wal"), 4'000'000u);
}

TEST_F(MaliciousSiteTest, WhatItSaysToPeopleCannotSteerATerminal) {
  Submit("allowed");
  MaliciousSite evil(home_);
  ASSERT_TRUE(evil.Hello([](v1::Hello& hello) { hello.set_host(kBomb); }));
  evil.Await(v1::ServerMessage::kCampaignOffer);
  evil.Answer("allowed", false, kBomb);
  ASSERT_TRUE(WaitFor([&] {
    const auto status = harness_->Show("allowed");
    return status.ok() && status->answers_size() == 2 &&
           status->answers(0).answer() + status->answers(1).answer() == "refusedaccepted";
  }));
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"show", "allowed"},
                                             {"list"},
                                             {"sites"},
                                             {"audit"},
                                             {"--json", "show", "allowed"},
                                             {"--json", "audit"},
                                             {"show", kBomb.substr(0, 100)},
                                             {"audit", kBomb.substr(0, 100)}}) {
    ExpectHarmless(Tributary(command), 200'000);
  }
  ExpectHarmless(ServerLog(), 100'000);
  EXPECT_THAT(Tributary({"show", "allowed"}), HasSubstr("\\x1b]0;owned\\x07"));
}

// Not by evicting each other in turns: the second daemon hears why it has no place.
TEST_F(MaliciousSiteTest, ASecondDaemonWithTheSameCertificateIsRefusedByName) {
  MaliciousSite first(home_);
  ASSERT_TRUE(first.Hello([](v1::Hello& hello) { hello.set_host("login2"); }));
  MaliciousSite second(home_);
  EXPECT_FALSE(second.Hello([](v1::Hello& hello) { hello.set_instance("other"); }));
  const grpc::Status refused = second.End();
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_THAT(refused.error_message(),
              HasSubstr("site evil is served by another daemon on host login2"));
  v1::ClientMessage beat;
  beat.mutable_heartbeat()->set_sent_at_us(1);
  EXPECT_TRUE(first.Say(beat));
  first.Await(v1::ServerMessage::kHeartbeat);  // it is served as before
  MaliciousSite again(home_);  // the first daemon itself comes back: its connection was half open
  EXPECT_TRUE(again.Hello());
  EXPECT_EQ(first.Await(v1::ServerMessage::kGoodbye).goodbye().reason(),
            "another connection of this site took over");
}

}  // namespace
}  // namespace tributary::integration
