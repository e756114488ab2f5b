#include "proto/campaign_changes.h"

#include <gtest/gtest.h>

#include "core/random.h"

namespace tributary {
namespace {

// The status of a campaign that has lived so long, with details that come and go.
v1::CampaignStatus StatusAt(std::int64_t round, SplitMix64* random) {
  v1::CampaignStatus status;
  status.set_campaign("c");
  status.set_round(round);
  status.set_note(random->Below(2) == 0 ? "" : "waits");
  status.set_paused(random->Below(2) == 0);
  status.set_effective_yaml("rounds: " + std::to_string(random->Below(2)));
  status.set_adapter_config_json("{}");
  for (std::int64_t i = 1; i <= round; ++i) {
    v1::RoundStatus* history = status.add_round_history();
    history->set_round(i);
    history->set_mean_loss(i < round - 2 ? 1.0 : static_cast<double>(random->Below(3)));
    status.add_versions()->set_version(i);
  }
  for (std::uint64_t i = random->Below(4); i > 0; --i) {
    status.add_tasks()->set_step(static_cast<std::int64_t>(random->Below(2)));
  }
  for (int i = 0; i < 2; ++i) status.add_answers()->set_away(random->Below(4) == 0);
  return status;
}

TEST(CampaignChangesTest, ChangesPutTogetherMakeTheWhole) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    SplitMix64 random(seed);
    v1::CampaignStatus server = StatusAt(3, &random);
    v1::CampaignStatus watcher = server;
    v1::CampaignStatus both;  // two changes in one, as for somebody who reads slowly
    for (std::int64_t round = 3; round < 8; ++round) {
      const v1::CampaignStatus next = StatusAt(round + 1, &random);
      const v1::CampaignStatus change = ChangesBetween(server, next);
      EXPECT_TRUE(change.changes());
      if (round % 2 == 1) {
        both = change;
      } else {
        MergeChanges(change, &both);
        EXPECT_TRUE(both.changes());
        MergeChanges(both, &watcher);
        EXPECT_EQ(watcher.DebugString(), next.DebugString()) << seed;
      }
      server = next;
    }
  }
}

TEST(CampaignChangesTest, WhatIsTheSameIsNotSent) {
  SplitMix64 random(1);
  v1::CampaignStatus before = StatusAt(100, &random);
  v1::CampaignStatus now = before;
  now.mutable_round_history(98)->set_mean_loss(77);
  now.add_versions()->set_version(101);
  const v1::CampaignStatus change = ChangesBetween(before, now);
  ASSERT_EQ(change.round_history_size(), 1);
  EXPECT_EQ(change.round_history(0).round(), 99);
  EXPECT_EQ(change.versions_size(), 1);
  EXPECT_EQ(change.tasks_size() + change.answers_size(), 0);
  EXPECT_EQ(change.unchanged_size(), 4);
  EXPECT_TRUE(change.effective_yaml().empty());
}

// The server tells of rounds that are past once; afterwards of those that are not.
TEST(CampaignChangesTest, ThePageThatAWatcherBeganWithGoesOn) {
  v1::CampaignStatus whole;
  for (const std::int64_t number : {5, 6, 7}) whole.add_round_history()->set_round(number);
  whole.set_rounds_left_out(4);
  v1::CampaignStatus change;
  change.set_changes(true);
  for (const std::int64_t number : {7, 8}) change.add_round_history()->set_round(number);
  change.set_rounds_left_out(6);
  MergeChanges(change, &whole);
  EXPECT_EQ(whole.round_history_size(), 4);
  EXPECT_EQ(whole.round_history(3).round(), 8);
  EXPECT_EQ(whole.rounds_left_out(), 4);
  EXPECT_FALSE(whole.changes());
}

}  // namespace
}  // namespace tributary
