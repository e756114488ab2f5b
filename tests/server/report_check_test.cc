#include "server/report_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "security/signature.h"
#include "tests/core/test_files.h"
#include "tests/security/test_federation.h"

namespace tributary::server {
namespace {

using testing::HasSubstr;

class ReportCheckTest : public testing::Test {
 protected:
  void SetUp() override {
    expected_.task.id = "c.r2.chem.t1";
    expected_.task.campaign = "c";
    expected_.task.site = "chem";
    expected_.task.base_version = 1;
    expected_.task.steps = 10;
    expected_.global_digest = Blob({{"w", {1, 2}}});
    statement_.set_task(expected_.task.id);
    statement_.set_campaign("c");
    statement_.set_site("chem");
    statement_.set_global_version(1);
    statement_.set_kind(v1::TASK_KIND_TRAIN);
    statement_.set_outcome(v1::OUTCOME_COMPLETE);
    statement_.set_digest(Blob({{"w", {0.5F, -0.5F}}}).ToHex());
    statement_.set_samples(80);
    statement_.set_tokens(900);
    statement_.set_steps(10);
    statement_.set_loss_first(3);
    statement_.set_loss_last(2);
    statement_.set_queue_seconds(1);
    statement_.set_compute_seconds(2.5);
    (*statement_.mutable_metrics())["loss/heldout"] = 1.25;
  }
  Digest Blob(const std::vector<NamedFloats>& tensors) {
    const Digest digest = WriteFloats(directory_ / "file", tensors);
    EXPECT_TRUE(blobs_.Adopt(directory_ / "file", digest).ok());
    return digest;
  }
  v1::TaskReport Signed(const std::string& statement) const {
    v1::TaskReport report;
    report.set_task(expected_.task.id);
    report.set_statement(statement);
    report.set_signature(*security::Sign(chem_.key, statement));
    return report;
  }
  Result<std::variant<Event, Resend>> Check(const v1::TaskReport& report) const {
    return CheckReport(report, "chem", chem_.certificate, expected_, blobs_);
  }
  // The reason why the report is refused; "" when it is not.
  std::string Refusal(const v1::TaskReport& report) const {
    const auto outcome = Check(report);
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    if (!outcome.ok() || !std::holds_alternative<Event>(*outcome)) return "";
    const auto* failed = std::get_if<TaskFailed>(&std::get<Event>(*outcome));
    if (failed == nullptr) return "";
    EXPECT_EQ(failed->task, expected_.task.id);
    return failed->reason;
  }
  template <class F>
  std::string RefusalAfter(F change) const {
    v1::Statement statement = statement_;
    change(statement);
    return Refusal(Signed(statement.SerializeAsString()));
  }

  const TestDirectory directory_;
  BlobStore blobs_ = std::move(BlobStore::Open(directory_.path())).value();
  const security::TestFederation federation_;
  const security::TestMember chem_ = federation_.Member(security::Role::kSite, "chem");
  ExpectedReport expected_;
  v1::Statement statement_;
};

TEST_F(ReportCheckTest, AGoodUpdateIsAcceptedWithItsFacts) {
  const auto outcome = Check(Signed(statement_.SerializeAsString()));
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  const auto* accepted = std::get_if<UpdateAccepted>(&std::get<Event>(*outcome));
  ASSERT_NE(accepted, nullptr);
  EXPECT_EQ(accepted->task, "c.r2.chem.t1");
  EXPECT_EQ(accepted->facts.digest.ToHex(), statement_.digest());
  EXPECT_EQ(accepted->facts.bytes, *blobs_.SizeOf(accepted->facts.digest));
  EXPECT_EQ(accepted->facts.samples, 80);
  EXPECT_EQ(accepted->facts.compute_seconds, 2.5);
  EXPECT_EQ(accepted->facts.metrics.at("loss/heldout"), 1.25);
  EXPECT_EQ(accepted->facts.statement_hex.size(), 2 * statement_.ByteSizeLong());
}

TEST_F(ReportCheckTest, APartialUpdateCounts) {
  statement_.set_outcome(v1::OUTCOME_PARTIAL);
  statement_.set_steps(3);
  const auto outcome = Check(Signed(statement_.SerializeAsString()));
  const auto* accepted = std::get_if<UpdateAccepted>(&std::get<Event>(*outcome));
  ASSERT_NE(accepted, nullptr);
  EXPECT_EQ(accepted->facts.completion, Completion::kPartial);
  EXPECT_EQ(accepted->facts.steps, 3);
}

TEST_F(ReportCheckTest, RefusesASignatureOfSomebodyElse) {
  const security::TestMember other = federation_.Member(security::Role::kSite, "chem");
  v1::TaskReport report = Signed(statement_.SerializeAsString());
  report.set_signature(*security::Sign(other.key, report.statement()));
  EXPECT_THAT(Refusal(report), HasSubstr("refused: the signature is not by"));
  report.set_signature("");
  EXPECT_THAT(Refusal(report), HasSubstr("signature"));
  report = Signed(statement_.SerializeAsString());
  report.mutable_statement()->push_back('\0');
  EXPECT_THAT(Refusal(report), HasSubstr("signature"));
}

TEST_F(ReportCheckTest, RefusesBytesThatAreNoStatement) {
  EXPECT_THAT(Refusal(Signed("\x0A\xFF")), HasSubstr("not a Statement"));
}

TEST_F(ReportCheckTest, RefusesStatementsAboutSomethingElse) {
  using S = v1::Statement;
  const std::string about = "the signed statement is about another task, campaign or site";
  EXPECT_THAT(RefusalAfter([](S& s) { s.set_task("c.r1.chem.t1"); }), HasSubstr(about));
  EXPECT_THAT(RefusalAfter([](S& s) { s.set_campaign("d"); }), HasSubstr(about));
  EXPECT_THAT(RefusalAfter([](S& s) { s.set_site("bio"); }), HasSubstr(about));
  EXPECT_THAT(RefusalAfter([](S& s) { s.set_global_version(0); }),
              HasSubstr("update against version 0; the task was given version 1"));
  EXPECT_THAT(RefusalAfter([](S& s) { s.set_kind(v1::TASK_KIND_EVALUATE); }),
              HasSubstr("another kind"));
}

TEST_F(ReportCheckTest, RefusesNumbersThatCannotBe) {
  using S = v1::Statement;
  EXPECT_THAT(RefusalAfter([](S& s) { s.set_steps(11); }),
              HasSubstr("an update of 11 steps; the task asked for 10"));
  EXPECT_THAT(RefusalAfter([](S& s) { s.set_steps(0); }), HasSubstr("at least 1 of each"));
  EXPECT_THAT(RefusalAfter([](S& s) { s.set_samples(0); }), HasSubstr("at least 1 of each"));
  EXPECT_THAT(RefusalAfter([](S& s) { s.set_samples(-5); }), HasSubstr("refused"));
  EXPECT_THAT(RefusalAfter([](S& s) { s.set_tokens(-5); }), HasSubstr("negative"));
  EXPECT_THAT(RefusalAfter([](S& s) { s.set_loss_last(std::nan("")); }), HasSubstr("finite"));
  EXPECT_THAT(RefusalAfter([](S& s) { s.set_peak_memory_bytes(-1); }), HasSubstr("memory"));
  EXPECT_THAT(RefusalAfter([](S& s) { s.set_device("a\x1b[31m"); }), HasSubstr("printable"));
  EXPECT_THAT(RefusalAfter([](S& s) { s.set_device(std::string(129, 'x')); }), HasSubstr("device"));
  EXPECT_THAT(RefusalAfter([](S& s) { s.set_transfer_seconds(HUGE_VAL); }), HasSubstr("finite"));
  EXPECT_THAT(RefusalAfter([](S& s) { (*s.mutable_metrics())["x"] = std::nan(""); }),
              HasSubstr("metric \"x\" is not a finite number"));
  EXPECT_THAT(RefusalAfter([](S& s) { (*s.mutable_metrics())[std::string(257, 'x')] = 1; }),
              HasSubstr("metric"));
  EXPECT_THAT(RefusalAfter([](S& s) {
                for (int i = 0; i < 1001; ++i) (*s.mutable_metrics())[std::to_string(i)] = 1;
              }),
              HasSubstr("at most 256 are taken"));
}

TEST_F(ReportCheckTest, RefusesAnUpdateThatIsNotLikeTheGlobalAdapter) {
  const auto refusal_of = [&](const std::vector<NamedFloats>& tensors) {
    const std::string digest = Blob(tensors).ToHex();
    return RefusalAfter([&](v1::Statement& s) { s.set_digest(digest); });
  };
  EXPECT_THAT(refusal_of({{"w", {std::nanf(""), 1}}}),
              HasSubstr("tensor w holds a value that is not finite"));
  EXPECT_THAT(refusal_of({{"w", {1}}}), HasSubstr("tensor w has shape [1]; must be [2]"));
  EXPECT_THAT(refusal_of({{"w", {1, 2}}, {"x", {1}}}), HasSubstr("tensor x is not part"));
  EXPECT_THAT(refusal_of({{"v", {1, 2}}}), HasSubstr("tensor w is missing"));
}

TEST_F(ReportCheckTest, RefusesABlobThatIsNoSafetensors) {
  ASSERT_TRUE(WriteFileAtomic(directory_ / "file", "hello").ok());
  ASSERT_TRUE(blobs_.Adopt(directory_ / "file", Sha256Of("hello")).ok());
  EXPECT_THAT(RefusalAfter([](v1::Statement& s) { s.set_digest(Sha256Of("hello").ToHex()); }),
              HasSubstr("malformed safetensors"));
  EXPECT_THAT(RefusalAfter([](v1::Statement& s) { s.set_digest("../../etc/passwd"); }),
              HasSubstr("digest"));
}

TEST_F(ReportCheckTest, AsksAgainForABlobThatIsNotHere) {
  statement_.set_digest(Sha256Of("not uploaded").ToHex());
  const auto outcome = Check(Signed(statement_.SerializeAsString()));
  ASSERT_TRUE(outcome.ok());
  EXPECT_TRUE(std::holds_alternative<Resend>(*outcome));
}

TEST_F(ReportCheckTest, TellsRefusalsFromFailures) {
  const auto refused = [&](const v1::Statement& statement) {
    const auto outcome = Check(Signed(statement.SerializeAsString()));
    return std::get<TaskFailed>(std::get<Event>(*outcome)).refused;
  };
  v1::Statement statement = statement_;
  statement.set_steps(11);
  EXPECT_TRUE(refused(statement)) << "this server's rules, for ever the same";
  statement = statement_;
  statement.set_outcome(v1::OUTCOME_FAILED);
  EXPECT_FALSE(refused(statement)) << "a job may break once";
  statement.set_refused(true);
  EXPECT_TRUE(refused(statement)) << "the site's rules";
}

TEST_F(ReportCheckTest, CannotJudgeWithoutItsOwnGlobalAdapter) {
  expected_.global_digest = Sha256Of("lost");
  EXPECT_EQ(Check(Signed(statement_.SerializeAsString())).status().code(),
            StatusCode::kUnavailable);
}

TEST_F(ReportCheckTest, AFailureIsTakenAtItsWord) {
  EXPECT_EQ(RefusalAfter([](v1::Statement& s) {
              s.set_outcome(v1::OUTCOME_FAILED);
              s.set_message("out of\nmemory");
              s.set_steps(0);
              s.clear_digest();
            }),
            "out of\\nmemory");
}

TEST_F(ReportCheckTest, AnEvaluationNeedsNoBlob) {
  expected_.task.kind = TaskKind::kEvaluate;
  statement_.set_kind(v1::TASK_KIND_EVALUATE);
  statement_.clear_digest();
  statement_.set_bytes(UINT64_MAX);  // its own word, and of no use
  statement_.set_steps(0);
  const auto outcome = Check(Signed(statement_.SerializeAsString()));
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  const auto* accepted = std::get_if<UpdateAccepted>(&std::get<Event>(*outcome));
  ASSERT_NE(accepted, nullptr);
  EXPECT_TRUE(accepted->facts.digest.IsZero());
  EXPECT_EQ(accepted->facts.bytes, 0u);
  EXPECT_EQ(accepted->facts.metrics.at("loss/heldout"), 1.25);
}

}  // namespace
}  // namespace tributary::server
