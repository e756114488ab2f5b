#include "client/offers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "core/files.h"
#include "core/peft_adapter.h"

namespace tributary::client {
namespace {

using testing::HasSubstr;

// Keeps what is sent.
class Answers final : public Uplink {
 public:
  bool Send(const v1::ClientMessage& message) override {
    MutexLock lock(mutex_);
    sent_.push_back(message.campaign_answer());
    return true;
  }
  std::vector<v1::CampaignAnswer> Await(std::size_t count) {
    for (int i = 0; i < 1000; ++i) {
      {
        MutexLock lock(mutex_);
        if (sent_.size() >= count) return sent_;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ADD_FAILURE() << "no answer";
    return std::vector<v1::CampaignAnswer>(count);
  }

 private:
  Mutex mutex_;
  std::vector<v1::CampaignAnswer> sent_;
};

class OffersTest : public testing::Test {
 protected:
  OffersTest() {
    config_.policy.emplace();
    config_.policy->campaigns = {"*"};
    config_.policy->leads = {"*"};
    config_.policy->models["base"] = directory_.path();
    config_.policy->data["train"] = directory_.path() + "/train.jsonl";
    EXPECT_TRUE(WriteFileAtomic(directory_.path() + "/train.jsonl", "").ok());
    SetTrainer("exit 2");
  }
  void SetTrainer(const std::string& script) {
    config_.job.trainer = {"/bin/sh", "-c", script, "trainer"};
  }
  void Start() {
    offers_ = std::make_unique<Offers>(config_, *journal_, *ledger_, answers_, log_limit_, asking_);
    ASSERT_TRUE(offers_->Load().ok());
  }
  static v1::CampaignOffer Offer(const std::string& campaign) {
    v1::CampaignOffer offer;
    offer.set_campaign(campaign);
    offer.set_lead("lead");
    offer.set_model("base");
    offer.set_train_data("train");
    offer.set_max_walltime_seconds(60);
    offer.set_adapter_config_json(AdapterConfig().ToPeftJson());
    return offer;
  }

  TemporaryDirectory directory_ = *TemporaryDirectory::Create("offers-test-");
  std::unique_ptr<ClientJournal> journal_ = *ClientJournal::Open(directory_.path() + "/client.db");
  std::unique_ptr<SiteLedger> ledger_ = *SiteLedger::Open(directory_.path() + "/ledger.db");
  ClientConfig config_;
  Answers answers_;
  LogLimit log_limit_;
  AskingTime asking_;
  std::unique_ptr<Offers> offers_;
};

TEST_F(OffersTest, AnAcceptedOneIsKept) {
  Start();
  EXPECT_FALSE(offers_->Receive(Offer("chem"), OkStatus()));
  EXPECT_TRUE(answers_.Await(1)[0].accepted());
  EXPECT_TRUE(offers_->Find("chem"));
  Start();  // again, from the journal
  EXPECT_TRUE(offers_->Find("chem"));
  EXPECT_TRUE(offers_->Close("chem"));
  EXPECT_FALSE(offers_->Close("chem"));
  EXPECT_TRUE(journal_->LoadOffers()->empty());
}

TEST_F(OffersTest, WhatCanNeverRunIsRefusedAtOnce) {
  Start();
  ASSERT_TRUE(RemoveFile(directory_.path() + "/train.jsonl").ok());
  EXPECT_FALSE(offers_->Receive(Offer("chem"), OkStatus()));
  const auto answer = answers_.Await(1)[0];
  EXPECT_FALSE(answer.accepted());
  EXPECT_THAT(answer.reason(), HasSubstr("is not there"));
  EXPECT_FALSE(offers_->Find("chem"));
}

TEST_F(OffersTest, TheTrainersWordIsTheAnswer) {
  SetTrainer("echo '{\"abilities\": [], \"checks\": []}'");
  Start();
  v1::CampaignOffer offer = Offer("chem");
  offer.add_needs("frozen");
  offers_->Receive(offer, OkStatus());
  EXPECT_THAT(answers_.Await(1)[0].reason(), HasSubstr("cannot do frozen"));
  EXPECT_FALSE(offers_->Find("chem"));
}

// Tasks of it may be running: what is used up since is for the next task to find.
TEST_F(OffersTest, OneThatWasAcceptedIsNotMeasuredAgain) {
  Start();
  offers_->Receive(Offer("chem"), OkStatus());
  ASSERT_TRUE(answers_.Await(1)[0].accepted());
  ASSERT_TRUE(RemoveFile(directory_.path() + "/train.jsonl").ok());
  EXPECT_FALSE(offers_->Receive(Offer("chem"), OkStatus()));
  EXPECT_TRUE(answers_.Await(2)[1].accepted());
}

// Each offer costs this machine a program, and the server chooses how many there are.
TEST_F(OffersTest, TheTrainerIsAskedForSoLongInAnHour) {
  const std::string starts = directory_.path() + "/starts";
  SetTrainer("echo x >> " + starts + "; exit 2");
  asking_.in_an_hour = std::chrono::nanoseconds(1);  // used up by the first
  Start();
  for (int i = 0; i < 30; ++i) offers_->Receive(Offer("c" + std::to_string(i)), OkStatus());
  EXPECT_EQ(answers_.Await(1).front().campaign(), "c0");
  for (int i = 0; i < 30; ++i) {  // closed and offered again: no way around it
    offers_->Close("c" + std::to_string(i));
    offers_->Receive(Offer("c" + std::to_string(i)), OkStatus());
  }
  offers_->Receive(Offer("bad"), InvalidArgumentError("no offer"));
  EXPECT_FALSE(answers_.Await(2).back().accepted()) << "what needs no trainer is answered";
  EXPECT_EQ(ReadFile(starts)->size(), 2u);
}

TEST_F(OffersTest, ManyOffersOfAnHonestServerAreAllAnswered) {
  Start();
  for (int i = 0; i < 60; ++i) offers_->Receive(Offer("c" + std::to_string(i)), OkStatus());
  for (const v1::CampaignAnswer& answer : answers_.Await(60)) EXPECT_TRUE(answer.accepted());
}

TEST_F(OffersTest, ATrainerThatMayNotBeAskedIsNot) {
  const std::string starts = directory_.path() + "/starts";
  SetTrainer("echo x >> " + starts + "; exit 2");
  config_.job.inspect = false;
  Start();
  offers_->Receive(Offer("a"), OkStatus());
  EXPECT_TRUE(answers_.Await(1).back().accepted());
  EXPECT_FALSE(PathExists(starts));
}

TEST_F(OffersTest, ThePolicyIsAskedEveryTime) {
  Start();
  offers_->Receive(Offer("chem"), OkStatus());
  ASSERT_TRUE(answers_.Await(1)[0].accepted());
  v1::CampaignOffer other = Offer("chem");
  other.set_model("unknown");
  EXPECT_TRUE(offers_->Receive(other, OkStatus()));  // nothing of it goes on
  EXPECT_FALSE(answers_.Await(2)[1].accepted());
  EXPECT_FALSE(offers_->Find("chem"));
}

TEST_F(OffersTest, OneThatEndsWhileTheTrainerIsAskedIsNotAnswered) {
  SetTrainer("sleep 1");
  Start();
  offers_->Receive(Offer("chem"), OkStatus());
  offers_->Receive(Offer("bio"), OkStatus());
  EXPECT_FALSE(offers_->Close("chem"));
  EXPECT_EQ(answers_.Await(1)[0].campaign(), "bio");
  EXPECT_FALSE(offers_->Find("chem"));
  EXPECT_EQ(journal_->LoadOffers()->size(), 1U);
}

}  // namespace
}  // namespace tributary::client
