#include "client/assignment_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "tests/client/server_messages.h"

namespace tributary::client {
namespace {

using testing::HasSubstr;

const std::string kNul("control\0", 8);

struct BadTask {
  const char* what;
  std::function<void(v1::TaskAssignment&)> spoil;
};

std::vector<BadTask> BadTasks() {
  using T = v1::TaskAssignment;
  const std::string digest = Sha256Of("x").ToHex();
  const auto state = [digest](const std::string& name, const std::string& hex) {
    return [=](T& t) {
      t.mutable_directive()->add_server_state("control");
      v1::Blob& blob = (*t.mutable_server_state())[name];
      blob.set_digest(hex);
      blob.set_bytes(1);
    };
  };
  return {
      {"task", [](T& t) { t.set_task("../../x"); }},
      {"task", [](T& t) { t.set_task("chem.r1.a/../t1"); }},
      {"task", [](T& t) { t.set_task(std::string("chem.r1.a.t1\0x", 14)); }},
      {"task", [](T& t) { t.set_task("other.r1.a.t1"); }},
      {"task", [](T& t) { t.set_task(""); }},
      {"campaign", [](T& t) { t.set_campaign(".."); }},
      {"campaign", [](T& t) { t.set_campaign("/etc"); }},
      {"kind", [](T& t) { t.set_kind(v1::TASK_KIND_UNSPECIFIED); }},
      {"kind", [](T& t) { t.set_kind(static_cast<v1::TaskKind>(9)); }},
      {"round", [](T& t) { t.set_round(-1); }},
      {"global_version", [](T& t) { t.set_global_version(INT64_MIN); }},
      {"global_digest", [](T& t) { t.set_global_digest("../../../.bashrc"); }},
      {"global_digest", [](T& t) { t.set_global_digest(std::string(64, 'A')); }},
      {"global_digest", [](T& t) { t.set_global_digest(""); }},
      {"global_digest", [](T& t) { t.set_global_bytes(0); }},
      {"global_digest", [](T& t) { t.set_global_bytes(UINT64_MAX); }},
      {"merged", [](T& t) { t.add_merged()->set_digest("x/../../y"); }},
      {"server_state", state("../../../.ssh/authorized_keys", digest)},
      {"server_state", state(kNul, digest)},
      {"server_state", state("control", "control")},
      {"server_state",
       [digest](T& t) { (*t.mutable_server_state())["control"].set_digest(digest); }},
      {"server state", [](T& t) { t.mutable_directive()->add_server_state("../x"); }},
      {"walltime_seconds", [](T& t) { t.set_walltime_seconds(-5); }},
      {"walltime_seconds", [](T& t) { t.set_walltime_seconds(INT64_MAX); }},
      {"site_rank", [](T& t) { t.set_site_rank(-1); }},
      {"site_rank", [](T& t) { t.set_site_rank(INT64_MAX); }},
      {"steps", [](T& t) { t.mutable_training()->set_steps(-1); }},
      {"steps", [](T& t) { t.mutable_training()->set_steps(INT64_MAX); }},
      {"batch_size", [](T& t) { t.mutable_training()->set_batch_size(0); }},
      {"sequence_length", [](T& t) { t.mutable_training()->set_sequence_length(INT64_MAX); }},
      {"learning_rate", [](T& t) { t.mutable_training()->set_learning_rate(std::nan("")); }},
      {"learning_rate", [](T& t) { t.mutable_training()->set_learning_rate(-1); }},
      {"beta1", [](T& t) { t.mutable_training()->set_beta1(HUGE_VAL); }},
      {"beta2", [](T& t) { t.mutable_training()->set_beta2(1); }},
      {"schedule", [](T& t) { t.mutable_training()->set_schedule("\x1b[2J"); }},
      {"optimizer", [](T& t) { t.mutable_training()->set_optimizer(std::string(1 << 20, 'x')); }},
      {"base_precision", [](T& t) { t.mutable_training()->set_base_precision("fp7"); }},
      {"chat_template", [](T& t) { t.set_chat_template("../../t"); }},
      {"max_bad_lines", [](T& t) { t.set_max_bad_lines(-1); }},
      {"answer_tokens", [](T& t) { t.set_evaluation_answer_tokens(-1); }},
      {"directive", [](T& t) { t.mutable_directive()->set_offset(99); }},
      {"directive", [](T& t) { t.mutable_directive()->set_dtype(99); }},
      {"proximal", [](T& t) { t.mutable_directive()->set_proximal(std::nan("")); }},
      {"decay", [](T& t) { t.mutable_directive()->mutable_pruning()->set_decay(HUGE_VAL); }},
      {"batch_size",
       [](T& t) {
         t.set_kind(v1::TASK_KIND_EVALUATE);
         t.set_evaluation_batch_size(-1);
       }},
      {"max_examples",
       [](T& t) {
         t.set_kind(v1::TASK_KIND_EVALUATE);
         t.set_evaluation_max_examples(-1);
       }},
      {"answer_tokens",
       [](T& t) {
         t.set_kind(v1::TASK_KIND_EVALUATE);
         t.set_evaluation_answer_tokens(INT64_MAX);
       }},
      {"weight_decay",
       [](T& t) {  // not used by an evaluation, and still no number
         t.set_kind(v1::TASK_KIND_EVALUATE);
         t.mutable_training()->set_weight_decay(std::nan(""));
       }},
  };
}

TEST(AssignmentCheckTest, HonestTasksPass) {
  v1::TaskAssignment task = HonestTask();
  EXPECT_TRUE(CheckTaskAssignment(task).ok()) << CheckTaskAssignment(task);
  task.mutable_directive()->set_offset(1);
  task.mutable_directive()->add_server_state("control");
  v1::Blob& control = (*task.mutable_server_state())["control"];
  control.set_digest(Sha256Of("c").ToHex());
  control.set_bytes(5);
  *task.add_merged() = control;
  task.set_site_rank(4);
  task.set_chat_template("chatml");
  EXPECT_TRUE(CheckTaskAssignment(task).ok()) << CheckTaskAssignment(task);
  task.set_kind(v1::TASK_KIND_EVALUATE);
  task.mutable_training()->set_steps(0);  // as servers send it
  EXPECT_TRUE(CheckTaskAssignment(task).ok()) << CheckTaskAssignment(task);
}

TEST(AssignmentCheckTest, EachFieldOfATaskIsCheckedAndNamed) {
  for (const BadTask& bad : BadTasks()) {
    v1::ServerMessage message;
    *message.mutable_task() = HonestTask();
    bad.spoil(*message.mutable_task());
    const Status status = CheckServerMessage(message);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << bad.what;
    EXPECT_THAT(status.message(), HasSubstr(bad.what));
    EXPECT_LT(status.message().size(), 1000u);
    EXPECT_EQ(status.message().find('\x1b'), std::string::npos);
  }
}

struct BadOffer {
  const char* what;
  std::function<void(v1::CampaignOffer&)> spoil;
};

TEST(AssignmentCheckTest, EachFieldOfAnOfferIsCheckedAndNamed) {
  using O = v1::CampaignOffer;
  EXPECT_TRUE(CheckCampaignOffer(HonestOffer()).ok()) << CheckCampaignOffer(HonestOffer());
  for (const BadOffer& bad : std::vector<BadOffer>{
           {"campaign", [](O& o) { o.set_campaign("../x"); }},
           {"lead", [](O& o) { o.set_lead("\u202elena"); }},
           {"model", [](O& o) { o.set_model("a\nb"); }},
           {"model", [](O& o) { o.set_model(std::string(1 << 20, 'm')); }},
           {"train_data", [](O& o) { o.set_train_data(""); }},
           {"evaluation_data", [](O& o) { o.add_evaluation_data("\x1b[2J"); }},
           {"evaluation_data",
            [](O& o) {
              for (int i = 0; i < 2000; ++i) o.add_evaluation_data("d");
            }},
           {"adapter_config_json", [](O& o) { o.set_adapter_config_json("{"); }},
           {"adapter_config_json",
            [](O& o) { o.set_adapter_config_json(std::string(2 << 20, ' ')); }},
           {"campaign_yaml", [](O& o) { o.set_campaign_yaml(std::string(5 << 20, ' ')); }},
           {"max_walltime_seconds", [](O& o) { o.set_max_walltime_seconds(0); }},
           {"max_walltime_seconds", [](O& o) { o.set_max_walltime_seconds(INT64_MAX); }},
           {"tensor", [](O& o) { o.add_manifest()->set_dtype("F32"); }},
           {"appears twice", [](O& o) { *o.add_manifest() = o.manifest(0); }},
           {"dtype", [](O& o) { o.mutable_manifest(0)->set_dtype("F31"); }},
           {"extent", [](O& o) { o.mutable_manifest(0)->set_shape(0, -1); }},
           {"extent", [](O& o) { o.mutable_manifest(0)->set_shape(0, 0); }},
           {"extent",
            [](O& o) {
              for (int i = 0; i < 2; ++i)
                o.mutable_manifest(0)->set_shape(i, std::int64_t{1} << 40);
            }},
           {"shape",
            [](O& o) {
              for (int i = 0; i < 9; ++i) o.mutable_manifest(0)->add_shape(1);
            }},
       }) {
    O offer = HonestOffer();
    bad.spoil(offer);
    const Status status = CheckCampaignOffer(offer);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << bad.what;
    EXPECT_THAT(status.message(), HasSubstr(bad.what));
  }
}

TEST(AssignmentCheckTest, TheOtherMessagesAreCheckedToo) {
  const auto check = [](const std::function<void(v1::ServerMessage&)>& fill) {
    v1::ServerMessage message;
    fill(message);
    return CheckServerMessage(message).ok();
  };
  using M = v1::ServerMessage;
  EXPECT_TRUE(check([](M& m) { m.mutable_welcome()->set_heartbeat_seconds(20); }));
  EXPECT_FALSE(check([](M& m) { m.mutable_welcome()->set_heartbeat_seconds(0); }));
  EXPECT_FALSE(check([](M& m) { m.mutable_welcome()->set_heartbeat_seconds(UINT32_MAX); }));
  EXPECT_TRUE(check([](M& m) { m.mutable_campaign_closed()->set_campaign("chem"); }));
  EXPECT_FALSE(check([](M& m) { m.mutable_campaign_closed()->set_campaign("../../home"); }));
  EXPECT_TRUE(check([](M& m) { m.mutable_cancel()->set_task("chem.r1.a.t1"); }));
  EXPECT_FALSE(check([](M& m) { m.mutable_cancel()->set_task("chem"); }));
  EXPECT_TRUE(check([](M& m) { m.mutable_report_ack()->set_task("chem.r1.a.t1"); }));
  EXPECT_FALSE(check([](M& m) { m.mutable_report_ack()->set_task("\n"); }));
  EXPECT_TRUE(check([](M&) {})) << "a newer server may say more";
  // What is only shown is not judged: it is cut and escaped there.
  EXPECT_TRUE(check([](M& m) { m.mutable_goodbye()->set_reason(std::string(1 << 20, '\x1b')); }));
}

// A server chooses what a site downloads, but not how much of its disk that takes.
TEST(AssignmentCheckTest, DownloadsAreNoLargerThanWhatWasOffered) {
  const v1::CampaignOffer offer = HonestOffer();  // 2 KiB of values
  v1::TaskAssignment task = HonestTask();
  task.set_global_bytes(2048 + 300);
  (*task.mutable_server_state())["control"].set_bytes(2048 + 300);
  EXPECT_TRUE(CheckDownloads(offer, task).ok());
  task.set_global_version(2);
  for (int i = 0; i < 2; ++i) task.add_merged()->set_bytes(1 << 20);
  EXPECT_TRUE(CheckDownloads(offer, task).ok()) << "their ranks are no others' to bound";
  task.add_merged();
  EXPECT_THAT(CheckDownloads(offer, task).message(), HasSubstr("merged has 3 products; version 2"));
  task.clear_merged();
  task.set_global_bytes(1 << 20);
  EXPECT_THAT(CheckDownloads(offer, task).message(),
              HasSubstr("global version has 1048576 bytes; the campaign's adapter has at most"));
  task.set_global_bytes(2048);
  (*task.mutable_server_state())["control"].set_bytes(std::uint64_t{1} << 44);
  EXPECT_THAT(CheckDownloads(offer, task).message(), HasSubstr("server_state control has"));
}

TEST(AssignmentCheckTest, ARecordOfTheJournalIsCheckedForWhatItsPhaseUses) {
  TaskRecord record;
  record.assignment = HonestTask();
  EXPECT_TRUE(CheckTaskRecord(record).ok());
  record.assignment.set_global_digest("../../x");
  for (const Phase phase : {Phase::kReceived, Phase::kSubmitting, Phase::kSubmitted}) {
    record.phase = phase;
    EXPECT_FALSE(CheckTaskRecord(record).ok());
  }
  record.phase = Phase::kReady;  // nothing is downloaded any more
  EXPECT_TRUE(CheckTaskRecord(record).ok());
  record.assignment.set_task("../../x");
  EXPECT_FALSE(CheckTaskRecord(record).ok());
  record.assignment = HonestTask();
  record.attempt = 0;
  EXPECT_FALSE(CheckTaskRecord(record).ok());
  record.attempt = 1;
  record.phase = static_cast<Phase>(200);
  EXPECT_FALSE(CheckTaskRecord(record).ok());
}

}  // namespace
}  // namespace tributary::client
