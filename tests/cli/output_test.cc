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
  EXPECT_THAT(RenderStatus(status, 0), HasSubstr("rounds 1 to 7 are left out"));
  EXPECT_EQ(RenderCampaigns({}), "no campaigns\n");
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
