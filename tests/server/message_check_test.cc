#include "server/message_check.h"

#include <gmock/gmock.h>
#include <google/protobuf/unknown_field_set.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "core/wire_bounds.h"

namespace tributary::server {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using Message = v1::ClientMessage;

Status Check(const std::function<void(Message&)>& fill, Message* message) {
  message->Clear();
  fill(*message);
  return CheckClientMessage(message);
}

TEST(MessageCheckTest, NamesAndCountsThatCannotBeAreRefused) {
  struct Case {
    const char* what;
    std::function<void(Message&)> fill;
  };
  const std::vector<Case> cases = {
      {"is not a task id", [](Message& m) { m.mutable_hello()->add_tasks(""); }},
      {"is not a task id", [](Message& m) { m.mutable_hello()->add_tasks("c.\n"); }},
      {"appears twice",
       [](Message& m) {
         for (int i = 0; i < 2; ++i) m.mutable_hello()->add_tasks("c.r1.a.t1");
       }},
      {"tasks: 1900000; at most 4096",
       [](Message& m) {
         for (int i = 0; i < 1'900'000; ++i) m.mutable_hello()->add_tasks("");
       }},
      {"instance", [](Message& m) { m.mutable_hello()->set_instance(std::string(100, 'x')); }},
      {"is not a campaign name",
       [](Message& m) { m.mutable_campaign_answer()->set_campaign(std::string(4 << 20, 'c')); }},
      {"is not a task id",
       [](Message& m) { m.mutable_progress()->set_task(std::string(4 << 20, 't')); }},
      {"is not a task id", [](Message& m) { m.mutable_report()->set_task("c"); }},
      {"signature",
       [](Message& m) {
         m.mutable_report()->set_task("c.r1.a.t1");
         m.mutable_report()->set_signature(std::string(1 << 20, 's'));
       }},
  };
  for (const Case& bad : cases) {
    Message message;
    const Status status = Check(bad.fill, &message);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << bad.what;
    EXPECT_THAT(status.message(), HasSubstr(bad.what));
    EXPECT_LT(status.message().size(), 300u);
  }
}

TEST(MessageCheckTest, TextsForPeopleBecomeShortAndPrintable) {
  const std::string bomb = "\x1b[2J\u202e\n" + std::string(4 << 20, 'x');
  Message m;
  const auto is_harmless = [](const std::string& text, std::size_t most) {
    EXPECT_LE(text.size(), most);
    EXPECT_TRUE(text.starts_with("\\x1b[2J\\xe2\\x80\\xae\\nxxx")) << text.substr(0, 80);
  };
  ASSERT_TRUE(Check([&](Message& in) { in.mutable_hello()->set_client_version(bomb); }, &m).ok());
  is_harmless(m.hello().client_version(), 64);
  ASSERT_TRUE(Check([&](Message& in) { in.mutable_hello()->set_host(bomb); }, &m).ok());
  is_harmless(m.hello().host(), 64);
  const auto answer = [&](Message& in) {
    in.mutable_campaign_answer()->set_campaign("c");
    in.mutable_campaign_answer()->set_reason(bomb);
  };
  ASSERT_TRUE(Check(answer, &m).ok());
  is_harmless(m.campaign_answer().reason(), kMaxStatementMessage);
  const auto progress = [&](Message& in) {
    in.mutable_progress()->set_task("c.r1.a.t1");
    in.mutable_progress()->set_phase(bomb);
    in.mutable_progress()->set_job(bomb);
    in.mutable_progress()->set_message(bomb);
    in.mutable_progress()->set_loss(std::nan(""));
    in.mutable_progress()->set_step(-1);
    in.mutable_progress()->set_start_p50_us(INT64_MAX);
    in.GetReflection()->MutableUnknownFields(&in)->AddLengthDelimited(99, bomb);
  };
  ASSERT_TRUE(Check(progress, &m).ok());
  is_harmless(m.progress().phase(), 64);
  is_harmless(m.progress().job(), 64);
  is_harmless(m.progress().message(), 200);
  EXPECT_EQ(m.progress().loss(), 0);
  EXPECT_EQ(m.progress().step(), 0);
  EXPECT_LT(m.ByteSizeLong(), 600u) << "what is not known goes too";
}

TEST(MessageCheckTest, FactsAreCutToWhatMakesSense) {
  Message m;
  const auto facts = [&](Message& in) {
    for (int i = 0; i < 5000; ++i) in.mutable_facts()->add_allocations()->set_unit("h");
    in.mutable_facts()->mutable_allocations(0)->set_used(HUGE_VAL);
    in.mutable_facts()->mutable_allocations(1)->set_unit(std::string(1 << 20, '\n'));
    for (int i = 0; i < 5000; ++i) in.mutable_facts()->add_forecasts()->set_p50_seconds(1);
    in.mutable_facts()->mutable_forecasts(0)->set_p80_seconds(std::nan(""));
  };
  ASSERT_TRUE(Check(facts, &m).ok());
  EXPECT_EQ(m.facts().allocations_size(), 1000);
  EXPECT_EQ(m.facts().forecasts_size(), 100);
  EXPECT_EQ(m.facts().allocations(0).unit().size(), 64u);
  EXPECT_EQ(m.facts().forecasts(0).p80_seconds(), 0);
}

v1::Statement Honest() {
  v1::Statement statement;
  statement.set_task("c.r1.a.t1");
  statement.set_outcome(v1::OUTCOME_COMPLETE);
  statement.set_samples(1);
  (*statement.mutable_metrics())["loss/heldout"] = 1;
  return statement;
}

TEST(MessageCheckTest, AStatementIsBoundedInEverythingThatIsKept) {
  const auto refusal = [](const std::function<void(v1::Statement&)>& spoil) {
    v1::Statement statement = Honest();
    spoil(statement);
    return std::string(ReadStatement(statement.SerializeAsString()).status().message());
  };
  using S = v1::Statement;
  EXPECT_EQ(refusal([](S&) {}), "");
  EXPECT_THAT(refusal([](S& s) { s.set_message(std::string(4 << 20, 'm')); }),
              HasSubstr("bytes of the signed statement: 4194"));
  EXPECT_THAT(refusal([](S& s) {
                s.GetReflection()->MutableUnknownFields(&s)->AddLengthDelimited(
                    99, std::string(60'000, 'u'));
              }),
              HasSubstr("unknown fields"));
  EXPECT_EQ(refusal([](S& s) { s.GetReflection()->MutableUnknownFields(&s)->AddVarint(99, 1); }),
            "")
      << "a newer client may sign more";
  EXPECT_THAT(refusal([](S& s) {
                for (int i = 0; i < 1000; ++i) (*s.mutable_metrics())[std::to_string(i)] = 1;
              }),
              HasSubstr("metrics: 1001; at most 256"));
  EXPECT_THAT(refusal([](S& s) { (*s.mutable_metrics())[std::string(256, 'm')] = 1; }),
              HasSubstr("is not a name"));
  EXPECT_THAT(refusal([](S& s) { (*s.mutable_metrics())["\x1b[2J"] = 1; }),
              HasSubstr("is not a name"));
  EXPECT_THAT(refusal([](S& s) { (*s.mutable_metrics())["x"] = std::nan(""); }),
              HasSubstr("is not a finite number"));
  EXPECT_THAT(refusal([](S& s) { s.set_tokens(-1); }), HasSubstr("negative"));
  EXPECT_THAT(refusal([](S& s) { s.set_samples(INT64_MAX); }), HasSubstr("must be at most"));
  EXPECT_THAT(refusal([](S& s) { s.set_node_seconds(HUGE_VAL); }), HasSubstr("not finite"));
  EXPECT_FALSE(ReadStatement("\xff\xff").ok());
}

TEST(MessageCheckTest, OfAStatementThatIsTooLongNoMoreIsCarriedThanTells) {
  v1::ClientMessage message;
  message.mutable_report()->set_task("chem.r1.a.t1");
  message.mutable_report()->set_statement(std::string(4 << 20, 'x'));
  ASSERT_TRUE(CheckClientMessage(&message).ok());
  EXPECT_LE(message.report().statement().size(), std::size_t{65} << 10);
  EXPECT_EQ(ReadStatement(message.report().statement()).status().code(),
            StatusCode::kInvalidArgument);
}

TEST(MessageRatesTest, EachSiteAndKindHasItsOwnRate) {
  MessageRates rates;
  const MessageRates::Time start{};
  const auto admitted = [&](const std::string& site, Message::KindCase kind, MessageRates::Time at,
                            int messages) {
    int count = 0;
    for (int i = 0; i < messages; ++i) count += rates.Admit(site, kind, at) ? 1 : 0;
    return count;
  };
  const int burst = admitted("a", Message::kCampaignAnswer, start, 100'000);
  EXPECT_GE(burst, 256) << "all campaigns that a client takes are answered at once";
  EXPECT_LE(burst, 1000);
  EXPECT_EQ(admitted("a", Message::kCampaignAnswer, start + seconds(10), 100), 2);
  EXPECT_EQ(admitted("a", Message::kReport, start, 1000), 1000);
  EXPECT_EQ(admitted("b", Message::kCampaignAnswer, start, 100'000), burst);
  EXPECT_EQ(admitted("a", Message::kCampaignAnswer, start + seconds(1'000'000), 100'000), burst);
}

}  // namespace
}  // namespace tributary::server
