#include "client/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tributary::client {
namespace {

using testing::HasSubstr;

PolicySection Policy() {
  PolicySection policy;
  policy.campaigns = {"chem-*", "demo"};
  policy.leads = {"lena"};
  policy.models = {{"base", "/models/base"}};
  policy.data = {{"notes", "/data/notes.jsonl"}, {"heldout", "/data/heldout.jsonl"}};
  policy.max_walltime = std::chrono::seconds(600);
  policy.max_steps = 100;
  return policy;
}

v1::CampaignOffer Offer() {
  v1::CampaignOffer offer;
  offer.set_campaign("chem-lora");
  offer.set_lead("lena");
  offer.set_model("base");
  offer.set_train_data("notes");
  offer.add_evaluation_data("heldout");
  offer.set_max_walltime_seconds(600);
  return offer;
}

v1::TaskAssignment Task() {
  v1::TaskAssignment task;
  task.set_campaign("chem-lora");
  task.set_task("chem-lora.r1.a.t1");
  task.set_kind(v1::TASK_KIND_TRAIN);
  task.set_walltime_seconds(600);
  task.mutable_training()->set_steps(100);
  return task;
}

TEST(PolicyTest, AllowsWhatItLists) {
  EXPECT_TRUE(CheckOffer(Policy(), Offer()).ok());
  EXPECT_TRUE(CheckTask(Policy(), Offer(), Task()).ok());
}

TEST(PolicyTest, WithoutAPolicyNothingIsAllowed) {
  EXPECT_EQ(CheckOffer(std::nullopt, Offer()),
            PermissionDeniedError("this site has no policy; nothing is allowed"));
  EXPECT_EQ(CheckTask(std::nullopt, Offer(), Task()).code(), StatusCode::kPermissionDenied);
}

TEST(PolicyTest, AnEmptyPolicyAllowsNothing) {
  EXPECT_EQ(CheckOffer(PolicySection{}, Offer()).code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(CheckOffer(PolicySection{}, v1::CampaignOffer()).code(), StatusCode::kPermissionDenied);
}

TEST(PolicyTest, EveryPartOfAnOfferMustBeAllowed) {
  struct Row {
    void (*change)(v1::CampaignOffer&);
    std::string reason;
  };
  using O = v1::CampaignOffer;
  const std::vector<Row> table = {
      {[](O& o) { o.set_campaign("bio"); }, "campaign bio is not in policy.campaigns"},
      {[](O& o) { o.set_campaign("demo2"); }, "campaign demo2 is not in policy.campaigns"},
      {[](O& o) { o.set_lead("mallory"); }, "lead mallory is not in policy.leads"},
      {[](O& o) { o.set_model("large"); }, "model large is not in policy.models (base)"},
      {[](O& o) { o.set_train_data("mail"); }, "data mail is not in policy.data (heldout, notes)"},
      {[](O& o) { o.add_evaluation_data("mail"); },
       "data mail is not in policy.data (heldout, notes)"},
      {[](O& o) { o.set_max_walltime_seconds(601); },
       "walltime of 601 s is over policy.max_walltime of 600 s"},
      {[](O& o) { o.set_max_walltime_seconds(0); },
       "walltime of 0 s is over policy.max_walltime of 600 s"},
  };
  for (const Row& row : table) {
    v1::CampaignOffer offer = Offer();
    row.change(offer);
    EXPECT_EQ(CheckOffer(Policy(), offer), PermissionDeniedError(row.reason));
  }
}

TEST(PolicyTest, GivesEveryReasonAtOnce) {
  v1::CampaignOffer offer = Offer();
  offer.set_lead("mallory");
  offer.set_model("large\n");
  const std::string message = CheckOffer(Policy(), offer).message();
  EXPECT_EQ(message,
            "lead mallory is not in policy.leads; model large\\n is not in policy.models (base)");
}

TEST(PolicyTest, ACampaignNameThatIsNoNameIsRefusedWhateverThePolicySays) {
  PolicySection policy = Policy();
  policy.campaigns = {"*"};
  for (const char* name : {"", "..", "../x", "/home/somebody", "a/b", "a.b"}) {
    v1::CampaignOffer offer = Offer();
    offer.set_campaign(name);
    EXPECT_THAT(CheckOffer(policy, offer).message(), HasSubstr("is not a campaign name")) << name;
  }
}

TEST(PolicyTest, AllowsACampaignThatWasSubmittedAgainByItsName) {
  v1::CampaignOffer offer = Offer();
  PolicySection policy = Policy();
  policy.campaigns = {"chem-lora"};
  offer.set_campaign("chem-lora@2");
  EXPECT_TRUE(CheckOffer(policy, offer).ok()) << CheckOffer(policy, offer);
  for (const char* other : {"chem-lora2@2", "chem@2", "chem-lora@1", "chem-lora@2@3"}) {
    offer.set_campaign(other);
    EXPECT_FALSE(CheckOffer(policy, offer).ok()) << other;
  }
}

TEST(PolicyTest, TasksAreBoundToo) {
  v1::TaskAssignment task = Task();
  task.mutable_training()->set_steps(101);
  EXPECT_EQ(CheckTask(Policy(), Offer(), task),
            PermissionDeniedError("101 steps are over policy.max_steps of 100"));
  task.set_kind(v1::TASK_KIND_EVALUATE);
  EXPECT_TRUE(CheckTask(Policy(), Offer(), task).ok());
  task.set_walltime_seconds(601);
  EXPECT_THAT(CheckTask(Policy(), Offer(), task).message(), HasSubstr("walltime of 601 s"));
  v1::CampaignOffer offer = Offer();
  offer.set_lead("mallory");
  EXPECT_THAT(CheckTask(Policy(), offer, Task()).message(), HasSubstr("lead mallory"));
}

TEST(PolicyTest, PatternsMatchAPrefixOrTheWhole) {
  EXPECT_TRUE(MatchesAny({"loss/*"}, "loss/heldout"));
  EXPECT_TRUE(MatchesAny({"loss/*"}, "loss/"));
  EXPECT_FALSE(MatchesAny({"loss/*"}, "loss"));
  EXPECT_FALSE(MatchesAny({"loss"}, "loss/heldout"));
  EXPECT_TRUE(MatchesAny({"x", "loss"}, "loss"));
  EXPECT_TRUE(MatchesAny({"*"}, ""));
  EXPECT_FALSE(MatchesAny({""}, "x"));
  EXPECT_FALSE(MatchesAny({"*loss"}, "my loss"));
  EXPECT_FALSE(MatchesAny({}, "x"));
}

}  // namespace
}  // namespace tributary::client
