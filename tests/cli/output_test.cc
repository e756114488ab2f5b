// Whatever a server says, nothing of it steers a person's terminal, and numbers stay short.
#include "cli/output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/listing_view.h"
#include "cli/watch_view.h"
#include "core/text.h"

namespace tributary::cli {
namespace {

using testing::HasSubstr;

const std::string kBomb = "\x1b]0;owned\x07\u009b2J\u202e\nfake line " + std::string(1 << 20, 'x');

// Every text of the message, and of the messages in it, is the bomb; every number is the largest.
void Arm(google::protobuf::Message* message) {
  using google::protobuf::FieldDescriptor;
  const auto* r = message->GetReflection();
  const auto* descriptor = message->GetDescriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* f = descriptor->field(i);
    switch (f->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        f->is_repeated() ? r->AddString(message, f, kBomb) : r->SetString(message, f, kBomb);
        break;
      case FieldDescriptor::CPPTYPE_INT64:
        r->SetInt64(message, f, INT64_MAX);
        break;
      case FieldDescriptor::CPPTYPE_UINT64:
        r->SetUInt64(message, f, UINT64_MAX);
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        r->SetDouble(message, f, 1e308);
        break;
      case FieldDescriptor::CPPTYPE_MESSAGE:
        Arm(f->is_repeated() ? r->AddMessage(message, f) : r->MutableMessage(message, f));
        break;
      default:
        break;
    }
  }
}

void ExpectHarmless(const std::string& text) {
  EXPECT_EQ(PrintableLines(text, text.size()), text) << text.substr(0, 300);
  EXPECT_THAT(text, testing::Not(HasSubstr("\nfake line")));
  EXPECT_THAT(text, testing::Not(HasSubstr("00000000000000000000"))) << "1e308 in full";
  EXPECT_LT(text.size(), 100'000u);
}

TEST(OutputTest, HowAMessageIsToBeReadIsNotPrinted) {
  v1::CampaignStatus status;
  status.set_campaign("c");
  status.set_changes(true);
  status.add_unchanged("answers");
  const nlohmann::json printed = ToJson(status);
  EXPECT_EQ(printed["campaign"], "c");
  EXPECT_FALSE(printed.contains("changes"));
  EXPECT_FALSE(printed.contains("unchanged"));
}

TEST(OutputTest, AStatusOfAMaliciousServerIsHarmless) {
  v1::CampaignStatus status;
  Arm(&status);
  ExpectHarmless(RenderStatus(status, 0));
  status.mutable_round_history(0)->mutable_contributions(0)->set_outcome("accepted");
  status.mutable_tasks(0)->set_start_p50_us(0);
  status.mutable_tasks(0)->set_kind("train");
  (*status.mutable_round_history(0)->mutable_metrics())["a/loss/" + kBomb] = 1e308;
  ExpectHarmless(RenderStatus(status, 0));
  for (const std::string& line : LineReporter().Update(status)) ExpectHarmless(line);
}

TEST(OutputTest, ListsOfAMaliciousServerAreHarmless) {
  v1::ListResponse list;
  Arm(&list);
  ExpectHarmless(RenderCampaigns(list));
  v1::SitesResponse sites;
  Arm(&sites);
  ExpectHarmless(RenderSites(sites));
  EXPECT_THAT(RenderSites(sites), HasSubstr("last seen 9999-12-31T23:59:59.999999Z"));
  EXPECT_THAT(RenderSites(sites), HasSubstr("1e+308"));
}

TEST(OutputTest, HonestTextsStayAsTheyAre) {
  v1::CampaignStatus status;
  status.set_campaign("chem");
  status.set_phase("training");
  status.set_rounds(2);
  status.set_note("waiting for the answer of a; b refused: C:\\n stays");
  EXPECT_EQ(RenderStatus(status, 0),
            "campaign chem: training, round 0 of 2, version 0\n"
            "  waiting for the answer of a; b refused: C:\\n stays\n");
  status.set_rounds_left_out(7);
  EXPECT_THAT(RenderStatus(status, 0), HasSubstr("rounds 1 to 7 are not shown"));
  EXPECT_EQ(RenderCampaigns({}), "no campaigns\n");
}

v1::CampaignStatus OneRound() {
  v1::CampaignStatus status;
  status.set_campaign("chem");
  status.set_phase("training");
  v1::RoundStatus* round = status.add_round_history();
  round->set_round(1);
  round->set_closed_at_us(60'000'000);
  for (const char* site : {"a", "b", "d"}) {
    v1::Contribution* c = round->add_contributions();
    c->set_site(site);
    c->set_outcome("accepted");
    c->set_steps(2000);
    c->set_planned_steps(2000);
    (*round->mutable_metrics())[std::string(site) + "/loss/heldout"] = 2;
  }
  return status;
}

TEST(ViewTest, PartialUpdatesAreShownWithTheirStepsAndTheReason) {
  v1::CampaignStatus status = OneRound();
  EXPECT_THAT(RenderStatus(status, 0), HasSubstr("3 updates, 0 B"));
  v1::Contribution* c = status.mutable_round_history(0)->mutable_contributions(1);
  c->set_outcome("partial");
  c->set_steps(55);
  c->set_reason("SIGTERM before the walltime");
  const std::string one = RenderStatus(status, 0);
  EXPECT_THAT(one, HasSubstr("3 updates (1 partial), "));
  EXPECT_THAT(one, HasSubstr("b partial, 55 of 2000 steps: SIGTERM before the walltime"));
  status.mutable_round_history(0)->mutable_contributions(0)->set_outcome("partial");
  EXPECT_THAT(RenderStatus(status, 0), HasSubstr("3 updates (2 partial: is walltime too short?)"));
  EXPECT_THAT(LineReporter().Update(status), testing::Contains(HasSubstr("2 partial: is")));
}

TEST(ViewTest, AnUpdateOfAnEarlierVersionSaysHowOldItIs) {
  v1::CampaignStatus status = OneRound();
  EXPECT_THAT(RenderStatus(status, 0), testing::Not(HasSubstr("before")));
  status.mutable_round_history(0)->mutable_contributions(2)->set_staleness(2);
  EXPECT_THAT(RenderStatus(status, 0), HasSubstr("  d from 2 versions before"));
}

TEST(ViewTest, ATaskThatIsPartialSaysWhy) {
  v1::CampaignStatus status;
  v1::TaskStatus* task = status.add_tasks();
  task->set_site("a");
  task->set_kind("train");
  task->set_phase("partial");
  task->set_step(55);
  task->set_steps(2000);
  task->set_message("SIGTERM");
  EXPECT_THAT(RenderStatus(status, 0), HasSubstr("step 55/2000"));
  EXPECT_THAT(RenderStatus(status, 0), HasSubstr("  SIGTERM\n"));
}

TEST(ViewTest, AMeanOverFewerSitesNamesWhoIsMissing) {
  v1::CampaignStatus status = OneRound();
  EXPECT_THAT(RenderStatus(status, 0), HasSubstr("loss/heldout 2.0000 (mean of 3)\n"));
  v1::RoundStatus* round = status.mutable_round_history(0);
  round->mutable_metrics()->erase("d/loss/heldout");
  v1::MissingEvaluation* missing = round->add_missing_evaluations();
  missing->set_site("d");
  missing->set_outcome("failed");
  missing->set_reason("out of memory");
  EXPECT_THAT(RenderStatus(status, 0),
              HasSubstr("loss/heldout 2.0000 (mean of 2 of 3)  without d failed: out of memory"));
  missing->set_outcome("outstanding");
  missing->set_reason("");
  EXPECT_THAT(RenderStatus(status, 0), HasSubstr("(mean of 2 of 3)  without d evaluates"));
}

TEST(ViewTest, OneOfAThingIsOneThing) {
  v1::CampaignStatus status = OneRound();
  status.mutable_round_history(0)->mutable_contributions()->DeleteSubrange(1, 2);
  EXPECT_THAT(RenderStatus(status, 0), HasSubstr("  1 update, 0 B"));
}

TEST(ViewTest, ASiteThatIsAwayIsCalledAway) {
  v1::CampaignStatus status;
  status.set_phase("gathering");
  v1::SiteAnswer* answer = status.add_answers();
  answer->set_site("a");
  answer->set_answer("accepted");
  LineReporter lines;
  EXPECT_EQ(RenderStatus(status, 0).find("  a "), std::string::npos);
  EXPECT_THAT(lines.Update(status), testing::Contains("site a accepted"));
  answer->set_away(true);
  EXPECT_THAT(RenderStatus(status, 0),
              HasSubstr("  a accepted, away (not seen since the server started)\n"));
  answer->set_last_seen_us(1'700'000'000'000'000);
  EXPECT_THAT(RenderStatus(status, 0), HasSubstr("  a accepted, away since 14 22:13\n"));
  EXPECT_THAT(lines.Update(status), testing::Contains("site a, away since 14 22:13"));
  EXPECT_THAT(lines.Update(status), testing::IsEmpty());
  answer->set_visit_seconds(900);
  EXPECT_THAT(RenderStatus(status, 0),
              HasSubstr("  a accepted, overdue: its last visit was 14 22:13\n"));
  answer->set_visit_seconds(0);
  answer->set_away(false);
  EXPECT_THAT(lines.Update(status), testing::Contains("site a is connected again"));
  answer->set_answer("dropped");
  answer->set_reason("by lena");
  EXPECT_THAT(RenderStatus(status, 0), HasSubstr("  a dropped: by lena\n"));
}

TEST(ViewTest, ADamagedVersionIsNamed) {
  v1::CampaignStatus status = OneRound();
  v1::VersionInfo* version = status.add_versions();
  version->set_version(3);
  version->set_damage("blob 00ff is damaged on the server's disk");
  EXPECT_THAT(RenderStatus(status, 0),
              HasSubstr("  version 3 cannot be used: blob 00ff is damaged on the server's disk\n"));
}

TEST(ViewTest, ASiteThatTheJournalDoesNotKnowIsListed) {
  v1::SitesResponse sites;
  v1::SiteStatus* site = sites.add_sites();
  site->set_site("a");
  site->set_connected(true);
  site->set_unknown(true);
  EXPECT_THAT(RenderSites(sites), HasSubstr("unknown to this server's journal"));
}

TEST(OutputTest, NumbersArePlainWhereTheyAreShort) {
  EXPECT_EQ(NumberText(0.25, 2), "0.25");
  EXPECT_EQ(NumberText(123456789, 0), "123456789");
  EXPECT_EQ(NumberText(-1e308, 2), "-1e+308");
  EXPECT_EQ(SecondsText(1e308), "2.78e+304 h");
  EXPECT_EQ(SecondsText(90), "90.0 s");
  EXPECT_EQ(Format("%s!", std::string(2000, 'x').c_str()).size(), 2001u);
}

TEST(OutputTest, JsonIsAscii) {
  testing::internal::CaptureStdout();
  PrintJson({{"text", kBomb.substr(0, 24)}}, -1);
  PrintLine(kBomb.substr(0, 24));
  const std::string out = testing::internal::GetCapturedStdout();
  EXPECT_THAT(out, HasSubstr("\\u001b]0;owned\\u0007\\u009b2J\\u202e"));
  EXPECT_EQ(out.find('\x1b'), std::string::npos);
  EXPECT_EQ(out.find("\u202e"), std::string::npos);
  testing::internal::CaptureStderr();
  EXPECT_EQ(Fail(NotFoundError("no \x1b[2J"), false), kExitNotFound);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "tributary: no \\x1b[2J\n");
}

}  // namespace
}  // namespace tributary::cli
