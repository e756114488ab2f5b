#include "server/event_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/server/engine_harness.h"

namespace tributary::server {
namespace {

using testing::HasSubstr;

UpdateAccepted FullUpdate() {
  UpdateAccepted event;
  event.task = "c.r1.a.t1";
  ReportFacts& facts = event.facts;
  facts.completion = Completion::kPartial;
  facts.message = "line\n\"quoted\" \xE2\x82\xAC \xF0\x9F\x98\x80 \\ \x01";
  facts.digest = Sha256Of("x");
  facts.bytes = std::numeric_limits<std::int64_t>::max();
  facts.samples = std::numeric_limits<std::int64_t>::max();
  facts.tokens = 1;
  facts.steps = std::numeric_limits<std::int64_t>::min();
  facts.loss_first = 0.1;
  facts.loss_last = std::numeric_limits<double>::denorm_min();
  facts.metrics = {{"loss/a b", 1.0 / 3}, {"", -0.0}, {"big", std::numeric_limits<double>::max()}};
  facts.queue_seconds = 1e-300;
  facts.startup_seconds = 12345678.901234567;
  facts.compute_seconds = 3;
  facts.transfer_seconds = -1e22;
  facts.device = "cuda, \xC3\xA9";
  facts.peak_memory_bytes = std::numeric_limits<std::int64_t>::max();
  facts.statement_hex = "00ff";
  facts.signature_hex = "ab";
  return event;
}

Task FullTask() {
  Task task;
  task.id = "c.r2.a.t3";
  task.campaign = "c";
  task.site = "a";
  task.kind = TaskKind::kEvaluate;
  task.round = 2;
  task.attempt = 3;
  task.tries = 2;
  task.delay = std::chrono::seconds(10);
  task.base_version = 1;
  task.seed = std::numeric_limits<std::int64_t>::max();
  task.steps = 40;
  task.learning_rate_scale = 0.1;
  return task;
}

const std::vector<Event>& EveryType() {
  static const std::vector<Event> events = {
      PhaseStarted{"c", CampaignPhase::kFinishing},
      PhaseStarted{"c", CampaignPhase::kTraining, TimestampFromMicros(-7)},
      CampaignNoted{"c", "waits"},
      CampaignHeld{"c", "\"why\""},
      CampaignRevised{"c", "name: c\n"},
      RoundOpened{"c", 2, {FullTask()}},
      TasksGiven{"c", {FullTask(), FullTask()}},
      TaskSettled{"c.r1.a.t1", TaskPhase::kMissed, "late"},
      RoundClosed{"c", 2, {"c.r2.a.t1"}},
      RoundReopened{"c", 2, {"a"}},
      FoldRequested{"c", 2},
      RoundFinished{"c", 2, 1.0 / 3},
      SiteEnrolled{"a", "SHA256:00"},
      CampaignSubmitted{"c", "lena", "name: c\n# \xC3\xA9\n", Sha256Of("v0"), 1ULL << 62},
      CampaignAnswered{"c", "a", true, ""},
      CampaignAnswered{"c", "a", false, "no \"model\""},
      CampaignPaused{"c", "lena"},
      CampaignResumed{"c", "lena"},
      CampaignResumed{"c", "lena", {"a", "b"}, true},
      CampaignChanged{"c", "lena"},
      CampaignChanged{"c", "lena", 3, 0, true, {"a"}},
      CampaignCancelled{"c", "lena"},
      FullUpdate(),
      UpdateAccepted{"c.r1.a.e1", {}},
      TaskFailed{"c.r1.a.t1", "out of memory"},
      TaskFailed{"c.r1.a.t1", "refused: not finite", true},
      VersionPublished{"c", 3, Sha256Of("v3"), 7},
      VersionPublished{"c",
                       4,
                       Sha256Of("v4"),
                       7,
                       {{"last/a", {Sha256Of("s"), 9}}},
                       {{"t", 0.1}},
                       {Sha256Of("m"), 5}},
      AggregationFailed{"c", 3, "disk full"},
      AggregationTried{"c", 3, 2},
      UpdateDamaged{"c.r1.a.t1", "rotten"},
      VersionDamaged{"c", 2, "rotten"},
      VersionRestored{"c", 2},
      DeadlinePassed{"c"}};
  return events;
}

TEST(EventCodecTest, EveryTypeRoundTrips) {
  std::set<std::size_t> types;
  for (const Event& event : EveryType()) {
    types.insert(event.index());
    const std::string text = EncodeEvent(event);
    const auto decoded = DecodeEvent(text);
    ASSERT_TRUE(decoded.ok()) << decoded.status() << " " << text;
    EXPECT_EQ(decoded->index(), event.index());
    EXPECT_EQ(EncodeEvent(*decoded), text);
  }
  EXPECT_EQ(types.size(), std::variant_size_v<Event>);
}

TEST(EventCodecTest, NumbersAndTextsSurviveExactly) {
  const ReportFacts facts = FullUpdate().facts;
  const auto decoded = DecodeEvent(EncodeEvent(FullUpdate()));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  const ReportFacts& read = std::get<UpdateAccepted>(*decoded).facts;
  EXPECT_EQ(read.completion, facts.completion);
  EXPECT_EQ(read.message, facts.message);
  EXPECT_EQ(read.digest, facts.digest);
  EXPECT_EQ(read.bytes, facts.bytes);
  EXPECT_EQ(read.samples, facts.samples);
  EXPECT_EQ(read.steps, facts.steps);
  EXPECT_EQ(read.loss_first, facts.loss_first);
  EXPECT_EQ(read.loss_last, facts.loss_last);
  EXPECT_EQ(read.metrics, facts.metrics);
  EXPECT_TRUE(std::signbit(read.metrics.at("")));
  EXPECT_EQ(read.queue_seconds, facts.queue_seconds);
  EXPECT_EQ(read.startup_seconds, facts.startup_seconds);
  EXPECT_EQ(read.transfer_seconds, facts.transfer_seconds);
  EXPECT_EQ(read.device, facts.device);
  EXPECT_EQ(read.peak_memory_bytes, facts.peak_memory_bytes);
  EXPECT_EQ(read.statement_hex, facts.statement_hex);
}

TEST(EventCodecTest, TheStateOfAStrategySurvivesExactly) {
  const VersionPublished event{"c",
                               4,
                               Sha256Of("v4"),
                               7,
                               {{"last/a", {Sha256Of("s"), 9}}, {"m", {Sha256Of("m"), 1}}},
                               {{"moment", 1.0 / 3}, {"", -0.0}},
                               {Sha256Of("p"), 5}};
  const auto decoded = DecodeEvent(EncodeEvent(event));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  const auto& read = std::get<VersionPublished>(*decoded);
  EXPECT_EQ(read.state, event.state);
  EXPECT_EQ(read.numbers, event.numbers);
  EXPECT_TRUE(std::signbit(read.numbers.at("")));
  EXPECT_EQ(read.merged, event.merged);
  for (
      const std::string text :
      {R"({"type": "version_published", "campaign": "c", "round": 1, "bytes": 1, "state": 5})",
       R"({"type": "version_published", "campaign": "c", "round": 1, "bytes": 1, "merged": {}})"}) {
    EXPECT_EQ(DecodeEvent(text).status().code(), StatusCode::kDataLoss) << text;
  }
}

TEST(EventCodecTest, JournalsFromBeforeStrategiesHadStateAreRead) {
  std::string text = EncodeEvent(FullUpdate());
  const std::string later = "\"learning_rate_sum\":0.0,";
  ASSERT_NE(text.find(later), std::string::npos) << text;
  text.erase(text.find(later), later.size());
  EXPECT_TRUE(DecodeEvent(text).ok()) << DecodeEvent(text).status();
  const std::string version =
      R"({"type": "version_published", "campaign": "c", "round": 1, "bytes": 1})";
  EXPECT_TRUE(DecodeEvent(version).ok()) << DecodeEvent(version).status();
}

// As the server wrote it before failures said whether they were refusals, with all that it meant.
TEST(EventCodecTest, JournalsFromBeforeRefusalsWereToldApartAreRead) {
  const auto old =
      DecodeEvent(R"({"reason":"refused: not finite","task":"c.r1.a.t1","type":"task_failed"})");
  ASSERT_TRUE(old.ok()) << old.status();
  EXPECT_FALSE(std::get<TaskFailed>(*old).refused) << "it was tried again, and still is";
  EXPECT_EQ(EncodeEvent(TaskFailed{"c.r1.a.t1", "broke"}),
            R"({"reason":"broke","task":"c.r1.a.t1","type":"task_failed","v":2})");
}

TEST(EventCodecTest, JournalsFromBeforeThereWereRulesAreRead) {
  const std::string text =
      R"({"campaign":"c","initial_bytes":1,"lead":"lena","type":"campaign_submitted","yaml":""})";
  const auto old = DecodeEvent(text);
  ASSERT_TRUE(old.ok()) << old.status();
  EXPECT_EQ(std::get<CampaignSubmitted>(*old).rules, 0);
  EXPECT_EQ(InFirstFormat(*old), text) << "and are written as they were";
  EXPECT_THAT(EncodeEvent(CampaignSubmitted{"c", "lena", "", {}, 1}), HasSubstr("\"rules\":3"));
  const std::string resumed = R"({"by":"lena","campaign":"c","type":"campaign_resumed"})";
  EXPECT_EQ(InFirstFormat(*DecodeEvent(resumed)), resumed);
  for (const char* damaged : {"5", "[5]", "{}"}) {
    EXPECT_FALSE(DecodeEvent(R"({"by":"l","campaign":"c","type":"campaign_changed","drop":)" +
                             std::string(damaged) + "}")
                     .ok());
  }
}

TEST(EventCodecTest, IsReadableText) {
  EXPECT_EQ(EncodeEvent(CampaignAnswered{"c", "a", false, "no"}),
            R"({"accepted":false,"campaign":"c","reason":"no","site":"a",)"
            R"("type":"campaign_answered","v":2})");
}

TEST(EventCodecTest, AnUnknownTypeIsDataLoss) {
  const Status status = DecodeEvent(R"({"type": "from_the_future"})").status();
  EXPECT_EQ(status, DataLossError("event type \"from_the_future\" is not known"));
}

TEST(EventCodecTest, DamagedTextIsDataLoss) {
  for (const std::string text :
       {"", "null", "[]", "{}", "{", R"({"type": 5})", R"({"type": "deadline_passed"})",
        R"({"type": "deadline_passed", "campaign": 5})",
        R"({"type": "version_published", "campaign": "c", "round": 1.5, "bytes": 1})",
        R"({"type": "version_published", "campaign": "c", "round": 1, "bytes": -1})",
        R"({"type": "version_published", "campaign": "c", "round": 1, "bytes": 1, "digest": "x"})",
        R"({"type": "campaign_answered", "campaign": "c", "site": "a", "accepted": 1})"}) {
    EXPECT_EQ(DecodeEvent(text).status().code(), StatusCode::kDataLoss) << text;
  }
}

TEST(EventCodecTest, DamagedFactsAreDataLoss) {
  const std::string whole = EncodeEvent(FullUpdate());
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string text = whole;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return DecodeEvent(text.replace(at, from.size(), to)).status().code();
  };
  EXPECT_EQ(replaced("\"partial\"", "\"partially\""), StatusCode::kDataLoss);
  EXPECT_EQ(replaced("0.3333333333333333", "null"), StatusCode::kDataLoss);
  EXPECT_EQ(replaced("\"loss_first\":0.1", "\"loss_first\":null"), StatusCode::kDataLoss);
  EXPECT_EQ(replaced("\"tokens\":1,", ""), StatusCode::kDataLoss);
}

TEST(EventCodecTest, EveryTruncationIsDataLoss) {
  const std::string whole = EncodeEvent(FullUpdate());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(DecodeEvent(whole.substr(0, size)).status().code(), StatusCode::kDataLoss) << size;
  }
}

TEST(EventCodecTest, AnEntryHasItsFormat) {
  const auto old = DecodeRecord(R"({"type": "campaign_paused", "campaign": "c", "by": "x"})");
  ASSERT_TRUE(old.ok()) << old.status();
  EXPECT_EQ(old->format, 1);
  EXPECT_EQ(DecodeRecord(EncodeEvent(CampaignPaused{"c", "x"}))->format, 2);
  // What programs of the second format would not understand.
  CampaignSubmitted submitted{"c", "lena", "pacing:\n  kind: synchronous\n", {}, 1};
  EXPECT_EQ(DecodeRecord(EncodeEvent(submitted))->format, 2);
  submitted.yaml = "pacing:\n  kind: buffered\n";
  EXPECT_EQ(DecodeRecord(EncodeEvent(submitted))->format, kEventFormat);
  RoundOpened opened{"c", 2};
  EXPECT_EQ(DecodeRecord(EncodeEvent(opened))->format, 2);
  Task& task = opened.carried.emplace_back();
  task.id = "c.r1.a.t1";
  task.phase = TaskPhase::kAccepted;
  task.facts.samples = 7;
  const auto carried = DecodeRecord(EncodeEvent(opened));
  ASSERT_TRUE(carried.ok()) << carried.status();
  EXPECT_EQ(carried->format, kEventFormat);
  ASSERT_EQ(std::get<RoundOpened>(carried->event).carried.size(), 1u);
  EXPECT_EQ(std::get<RoundOpened>(carried->event).carried[0].facts.samples, 7);
  EXPECT_EQ(std::get<RoundOpened>(carried->event).carried[0].phase, TaskPhase::kAccepted);
  const auto later = DecodeRecord(R"({"v": 4, "type": "campaign_paused", "campaign": "c"})");
  EXPECT_EQ(later.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(later.status().message(),
              HasSubstr("is of event format 4; this program knows those up to 3"));
  EXPECT_EQ(DecodeRecord(R"({"v": "2", "type": "campaign_paused"})").status().code(),
            StatusCode::kDataLoss);
}

}  // namespace
}  // namespace tributary::server
