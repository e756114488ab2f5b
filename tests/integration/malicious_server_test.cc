// A real client daemon against a server that was taken over: it has the federation's own keys and
// says what it likes. Nothing outside the task's place is touched, and nothing wrong is downloaded.
#include <gmock/gmock.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "client/client_journal.h"
#include "core/log.h"
#include "core/mutex.h"
#include "security/grpc_credentials.h"
#include "security/key_file.h"
#include "tests/client/server_messages.h"
#include "tests/integration/federation_harness.h"
#include "tributary/v1/federation.grpc.pb.h"

namespace tributary::integration {
namespace {

using testing::HasSubstr;

// Sends what the test tells it to, on the only stream there is, and keeps what it hears.
class MaliciousServer final : public v1::Federation::Service {
 public:
  using Stream = grpc::ServerReaderWriter<v1::ServerMessage, v1::ClientMessage>;

  grpc::Status Connect(grpc::ServerContext*, Stream* stream) override {
    v1::ClientMessage message;
    if (!stream->Read(&message)) return grpc::Status::OK;
    v1::ServerMessage welcome;
    welcome.mutable_welcome()->set_protocol(1);
    welcome.mutable_welcome()->set_heartbeat_seconds(1);
    welcome.mutable_welcome()->set_server_version("\x1b[2J\u202e");
    stream->Write(welcome);
    {
      MutexLock lock(mutex_);
      stream_ = stream;
    }
    while (stream->Read(&message)) {
      MutexLock lock(mutex_);
      heard_.push_back(message);
    }
    MutexLock lock(mutex_);
    stream_ = nullptr;
    return grpc::Status::OK;
  }

  grpc::Status Download(grpc::ServerContext*,
                        grpc::ServerReaderWriter<v1::Chunk, v1::DownloadRequest>* stream) override {
    v1::DownloadRequest request;
    if (stream->Read(&request)) {
      MutexLock lock(mutex_);
      downloads_.push_back(request.digest());
    }
    return {grpc::StatusCode::NOT_FOUND, "no such blob \x1b[2J"};
  }

  bool Connected() {
    MutexLock lock(mutex_);
    return stream_ != nullptr;
  }
  void Send(const v1::ServerMessage& message) {
    MutexLock lock(mutex_);
    ASSERT_NE(stream_, nullptr);
    ASSERT_TRUE(stream_->Write(message));
  }
  void Send(const v1::TaskAssignment& task) {
    v1::ServerMessage message;
    *message.mutable_task() = task;
    Send(message);
  }
  std::vector<v1::ClientMessage> Heard() {
    MutexLock lock(mutex_);
    return heard_;
  }
  std::vector<std::string> Downloads() {
    MutexLock lock(mutex_);
    return downloads_;
  }
  // What the site says of the task in the end; empty as long as it does not.
  std::string FailureOf(const std::string& task) {
    for (const v1::ClientMessage& message : Heard()) {
      v1::Statement statement;
      if (message.report().task() != task) continue;
      EXPECT_TRUE(statement.ParseFromString(message.report().statement()));
      EXPECT_EQ(statement.outcome(), v1::OUTCOME_FAILED);
      return statement.message();
    }
    return "";
  }

 private:
  Mutex mutex_;
  Stream* stream_ TRIBUTARY_GUARDED_BY(mutex_) = nullptr;
  std::vector<v1::ClientMessage> heard_ TRIBUTARY_GUARDED_BY(mutex_);
  std::vector<std::string> downloads_ TRIBUTARY_GUARDED_BY(mutex_);
};

class MaliciousServerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto started = FederationHarness::Start(1);
    ASSERT_TRUE(started.ok()) << started.status();
    harness_ = *std::move(started);
    home_ = harness_->SiteHome("site-0");
    harness_->KillServer();
    victim_ = home_ + "/.bashrc";
    ASSERT_TRUE(WriteFileAtomic(victim_, "mine").ok());
  }
  void TearDown() override {
    if (grpc_) grpc_->Shutdown(std::chrono::system_clock::now());
  }

  void TakeOver() {
    const std::string keys = harness_->directory() + "/server/";
    const auto credentials = security::MakeServerCredentials(
        *ReadFile(keys + "ca.crt"),
        {*ReadFile(keys + "server.crt"),
         std::move(security::ReadKeyFile(keys + "server.key")).value()});
    ASSERT_TRUE(credentials.ok()) << credentials.status();
    grpc::ServerBuilder builder;
    builder.AddListeningPort(harness_->address(), *credentials);
    builder.RegisterService(&server_);
    grpc_ = builder.BuildAndStart();
    ASSERT_TRUE(grpc_);
    ASSERT_TRUE(WaitFor([&] { return server_.Connected(); }));
  }

  v1::CampaignOffer Offer() const {
    v1::CampaignOffer offer = client::HonestOffer("allowed");
    offer.set_lead("lead");
    offer.set_model("none");
    offer.set_train_data("none");
    offer.clear_evaluation_data();
    return offer;
  }
  void SendOffer() {
    v1::ServerMessage message;
    *message.mutable_campaign_offer() = Offer();
    server_.Send(message);
    ASSERT_TRUE(WaitFor([&] {
      const auto heard = server_.Heard();
      return std::any_of(heard.begin(), heard.end(),
                         [](const auto& m) { return m.campaign_answer().accepted(); });
    }));
  }
  v1::TaskAssignment Task(int number) const {
    v1::TaskAssignment task = client::HonestTask("allowed");
    task.set_task("allowed.r1.site-0.t" + std::to_string(number));
    return task;
  }
  // Files below the site's home that the campaign may not have, besides its own place and the logs.
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(home_)) {
      const std::string name = entry.path().string().substr(home_.size());
      if (!name.starts_with("/work/allowed") && !name.starts_with("/state/")) names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  std::string ClientLog() const {
    const auto log = ReadFile(home_ + "/client.log");
    return log.ok() ? *log : "";
  }

  std::unique_ptr<FederationHarness> harness_;
  std::string home_, victim_;
  MaliciousServer server_;
  std::unique_ptr<grpc::Server> grpc_;
};

TEST_F(MaliciousServerTest, AssignmentsThatLeadOutOfTheTasksPlaceAreRefused) {
  TakeOver();
  SendOffer();
  const auto before = Names();
  int number = 0;
  const auto attack = [&](const std::string& why, auto&& spoil) {
    v1::TaskAssignment task = Task(++number);
    spoil(task);
    server_.Send(task);
    std::string failure;
    EXPECT_TRUE(WaitFor([&] { return !(failure = server_.FailureOf(task.task())).empty(); }))
        << why;
    EXPECT_THAT(failure, HasSubstr(why));
    v1::ServerMessage ack;  // its worker takes the next task
    ack.mutable_report_ack()->set_task(task.task());
    ack.mutable_report_ack()->set_accepted(true);
    server_.Send(ack);
  };
  const auto state = [](const std::string& name) {
    return [name](v1::TaskAssignment& t) {
      t.mutable_directive()->add_server_state("control");
      v1::Blob& blob = (*t.mutable_server_state())[name];
      blob.set_digest(Sha256Of("evil").ToHex());
      blob.set_bytes(4);
    };
  };
  attack("server_state", state("../../../../.bashrc"));
  attack("server_state", state(std::string("../../../../.bashrc\0", 20)));
  attack("server_state", state(victim_));
  attack("digest", [](v1::TaskAssignment& t) { t.set_global_digest("../../../.bashrc"); });
  attack("digest", [](v1::TaskAssignment& t) {
    t.add_merged()->set_digest(std::string("../../.bashrc\0", 14));
  });
  attack("learning_rate",
         [](v1::TaskAssignment& t) { t.mutable_training()->set_learning_rate(std::nan("")); });
  attack("steps", [](v1::TaskAssignment& t) { t.mutable_training()->set_steps(-1); });
  attack("walltime", [](v1::TaskAssignment& t) { t.set_walltime_seconds(-1); });
  attack("server_state", [](v1::TaskAssignment& t) {
    (*t.mutable_server_state())[std::string(1 << 20, 'x')].set_digest("\x1b[2J\u202e");
  });
  EXPECT_TRUE(server_.Downloads().empty());
  EXPECT_EQ(*ReadFile(victim_), "mine");
  EXPECT_EQ(Names(), before);
  EXPECT_EQ(harness_->JobStarts("site-0"), 0);
  // An honest one of the same server begins: it is the content that was refused.
  server_.Send(Task(100));
  EXPECT_TRUE(WaitFor([&] { return !server_.Downloads().empty(); }));
  EXPECT_EQ(server_.Downloads().front(), Task(100).global_digest());
}

TEST_F(MaliciousServerTest, WhatItSaysToPeopleCannotSteerATerminal) {
  TakeOver();
  SendOffer();
  const std::string bomb = "\x1b]0;owned\x07\u009b2J\u202e\nfake=line " + std::string(1 << 20, 'x');
  v1::ServerMessage message;
  message.mutable_cancel()->set_task(bomb);
  server_.Send(message);
  message.mutable_report_ack()->set_task("allowed.r1.site-0.t1");
  message.mutable_report_ack()->set_reason(bomb);
  server_.Send(message);
  *message.mutable_campaign_offer() = Offer();
  message.mutable_campaign_offer()->set_lead(bomb);
  for (int i = 0; i < 50; ++i) server_.Send(message);
  message.mutable_campaign_closed()->set_campaign("allowed");
  message.mutable_campaign_closed()->set_state(bomb);
  server_.Send(message);
  message.mutable_goodbye()->set_reason(bomb);
  server_.Send(message);
  ASSERT_TRUE(WaitFor([&] { return ClientLog().find("says goodbye") != std::string::npos; }));
  const std::string log = ClientLog();
  EXPECT_THAT(log, HasSubstr("a message of the server is refused"));
  for (const char* bad : {"\x1b", "\x07", "\u009b", "\u202e", "\nfake=line"}) {
    EXPECT_EQ(log.find(bad), std::string::npos);
  }
  EXPECT_LT(log.size(), 400'000u) << "lines of one cause are counted";
}

// What an earlier version of the daemon took unread is not believed after a restart either.
TEST_F(MaliciousServerTest, AJournalThatHoldsAnAttackIsNotContinued) {
  ASSERT_TRUE(WaitFor([&] { return PathExists(home_ + "/state/client.db"); }));
  harness_->KillClient("site-0");
  {
    auto journal = client::ClientJournal::Open(home_ + "/state/client.db");
    ASSERT_TRUE(journal.ok()) << journal.status();
    ASSERT_TRUE((*journal)->SaveOffer(Offer()).ok());
    client::TaskRecord record;
    record.assignment = Task(1);
    (*record.assignment.mutable_server_state())["../../../../.bashrc"].set_digest(
        Sha256Of("evil").ToHex());
    ASSERT_TRUE((*journal)->SaveTask(record).ok());
    v1::CampaignOffer offer = Offer();
    offer.set_campaign("../..");
    ASSERT_TRUE((*journal)->SaveOffer(offer).ok());
  }
  const auto before = Names();
  ASSERT_TRUE(harness_->StartClient("site-0").ok());
  TakeOver();
  EXPECT_THAT(ClientLog(), HasSubstr("a task of the journal is not continued"));
  EXPECT_THAT(ClientLog(), HasSubstr("an offer of the journal is dropped"));
  server_.Send(Task(2));  // of the offer that is sound
  EXPECT_TRUE(WaitFor([&] { return !server_.Downloads().empty(); }));
  EXPECT_EQ(server_.Downloads().front(), Task(2).global_digest());
  EXPECT_EQ(*ReadFile(victim_), "mine");
  EXPECT_EQ(Names(), before);
}

}  // namespace
}  // namespace tributary::integration
