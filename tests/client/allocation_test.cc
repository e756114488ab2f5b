#include "client/allocation.h"

#include <gtest/gtest.h>

#include "client/forecast.h"
#include "client/site_facts.h"
#include "core/files.h"

namespace tributary::client {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

const Timestamp kStart{seconds(1'763'700'000)};

JobEntry Job(const std::string& name, const std::string& campaign) {
  JobEntry job;
  job.name = name;
  job.campaign = campaign;
  job.nodes = 2;
  job.cpus = 64;
  job.gpus = 8;
  job.walltime = hours(1);
  job.submitted = kStart;
  return job;
}

JobEntry Ended(JobEntry job, seconds wait, seconds charged) {
  job.started = job.submitted + wait;
  job.ended = *job.started + charged;
  job.charged = charged;
  return job;
}

class LedgerTest : public testing::Test {
 protected:
  LedgerTest() { Open(); }
  void Open() {
    ledger_.reset();
    ledger_ = *SiteLedger::Open(scratch_.path() + "/ledger.db");
  }
  // A job of this size that waited so long for its start.
  void Waited(const std::string& name, std::int64_t nodes, seconds wait, double said_p50 = -1,
              double said_p80 = -1) {
    JobEntry job = Ended(Job(name, "chem"), wait, seconds(1));
    job.nodes = nodes;
    if (said_p50 >= 0) job.predicted_p50 = said_p50;
    if (said_p80 >= 0) job.predicted_p80 = said_p80;
    ASSERT_TRUE(ledger_->Put(job).ok());
  }

  TemporaryDirectory scratch_ = *TemporaryDirectory::Create("ledger-");
  std::unique_ptr<SiteLedger> ledger_;
};

TEST_F(LedgerTest, EntriesSurviveARestart) {
  JobEntry job = Ended(Job("a", "chem"), seconds(5), seconds(7));
  job.queue = "gpu";
  job.predicted_p50 = 1.5;
  ASSERT_TRUE(ledger_->Put(Job("a", "chem")).ok());
  ASSERT_TRUE(ledger_->Put(job).ok());
  Open();
  const auto read = *ledger_->Get("a");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->campaign, "chem");
  EXPECT_EQ(read->queue, "gpu");
  EXPECT_EQ(read->nodes, 2);
  EXPECT_EQ(read->walltime, hours(1));
  EXPECT_EQ(read->started, job.started);
  EXPECT_EQ(read->ended, job.ended);
  EXPECT_EQ(read->charged, seconds(7));
  EXPECT_EQ(read->predicted_p50, 1.5);
  EXPECT_EQ(read->predicted_p80, std::nullopt);
  EXPECT_EQ(ledger_->Jobs()->size(), 1u);
  EXPECT_EQ(*ledger_->Get("b"), std::nullopt);
}

TEST_F(LedgerTest, CostsAreInTheSitesUnit) {
  AllocationSection allocation;
  const JobEntry job = Job("a", "chem");
  EXPECT_DOUBLE_EQ(Cost(allocation, job, seconds(1800)), 1.0);
  allocation.unit = "gpu-hours";
  EXPECT_DOUBLE_EQ(Cost(allocation, job, seconds(1800)), 4.0);
  allocation.unit = "core-hours";
  allocation.factor = 0.5;
  EXPECT_DOUBLE_EQ(Cost(allocation, job, seconds(1800)), 16.0);
}

TEST_F(LedgerTest, LimitsCountWhatIsUsedAndWhatMayBe) {
  AllocationSection allocation;
  allocation.per_campaign = 5;
  ASSERT_TRUE(ledger_->Put(Ended(Job("ended", "chem"), seconds(0), hours(1))).ok());  // 2 used
  EXPECT_TRUE(CheckAllocation(allocation, *ledger_, Job("next", "chem")).ok());       // 2 + 2
  ASSERT_TRUE(ledger_->Put(Job("pending", "chem")).ok());                             // 2 pending
  const Status status = CheckAllocation(allocation, *ledger_, Job("next", "chem"));
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_NE(status.message().find("5.00 node-hours, 2.00 used, 2.00 pending, 2.00 needed"),
            std::string::npos)
      << status.message();
  EXPECT_TRUE(CheckAllocation(allocation, *ledger_, Job("pending", "chem")).ok());  // itself
  EXPECT_TRUE(CheckAllocation(allocation, *ledger_, Job("next", "bio")).ok());
  allocation.total = 5;
  EXPECT_FALSE(CheckAllocation(allocation, *ledger_, Job("next", "bio")).ok());
  EXPECT_TRUE(CheckAllocation({}, *ledger_, Job("next", "bio")).ok());
}

TEST(QuantileTest, InterpolatesBetweenValues) {
  EXPECT_DOUBLE_EQ(Quantile({3, 1, 2}, 0.5), 2);
  EXPECT_DOUBLE_EQ(Quantile({0, 10}, 0.8), 8);
  EXPECT_DOUBLE_EQ(Quantile({7}, 0.95), 7);
  EXPECT_DOUBLE_EQ(Quantile({1, 2, 3, 4}, 1), 4);
}

TEST_F(LedgerTest, WithoutAnyWaitThereIsNoForecast) {
  EXPECT_EQ(*MakeForecast(*ledger_, "", 2, {}), std::nullopt);
  const auto forecast = *MakeForecast(*ledger_, "", 2, 40.0);
  ASSERT_TRUE(forecast);
  EXPECT_DOUBLE_EQ(forecast->p50, 40);
  EXPECT_DOUBLE_EQ(forecast->p95, 40);
  EXPECT_EQ(forecast->waits, 0);
}

TEST_F(LedgerTest, ForecastsAreQuantilesOfWaitsOfAboutThatSize) {
  for (int i = 0; i < 11; ++i) Waited("small" + std::to_string(i), 1, seconds(i));
  auto forecast = *MakeForecast(*ledger_, "", 64, {});
  ASSERT_TRUE(forecast);
  EXPECT_DOUBLE_EQ(forecast->p50, 5);  // nothing of that size yet: all of them
  EXPECT_DOUBLE_EQ(forecast->p80, 8);
  EXPECT_DOUBLE_EQ(forecast->p95, 9.5);
  for (int i = 0; i < 8; ++i) Waited("large" + std::to_string(i), 64, seconds(1000));
  forecast = *MakeForecast(*ledger_, "", 40, {});
  EXPECT_DOUBLE_EQ(forecast->p50, 1000);
  EXPECT_EQ(forecast->waits, 8);
  EXPECT_EQ(*MakeForecast(*ledger_, "other", 1, {}), std::nullopt);
}

TEST_F(LedgerTest, TheSchedulersWordIsTheMedian) {
  for (int i = 0; i < 11; ++i) Waited("job" + std::to_string(i), 1, seconds(i));
  const auto later = *MakeForecast(*ledger_, "", 1, 9.0);
  EXPECT_DOUBLE_EQ(later->p50, 9);
  EXPECT_DOUBLE_EQ(later->p80, 9);
  EXPECT_DOUBLE_EQ(later->p95, 9.5);
  EXPECT_DOUBLE_EQ((*MakeForecast(*ledger_, "", 1, -5.0))->p50, 0);
}

TEST_F(LedgerTest, ForecastsAreJudgedByTheWaitsThatFollowed) {
  EXPECT_EQ(ScoreForecasts(*ledger_, "")->forecasts, 0);
  Waited("a", 1, seconds(10), 8, 12);   // within, 2 off
  Waited("b", 1, seconds(20), 10, 15);  // later, 10 off
  Waited("c", 1, seconds(30));          // nothing was said
  const ForecastScore score = *ScoreForecasts(*ledger_, "");
  EXPECT_EQ(score.forecasts, 2);
  EXPECT_DOUBLE_EQ(score.within_p80, 0.5);
  EXPECT_DOUBLE_EQ(score.median_error, 6);
}

TEST_F(LedgerTest, FactsHaveEachCampaignAndTheWhole) {
  ClientConfig config;
  config.allocation.per_campaign = 10;
  config.allocation.total = 30;
  ASSERT_TRUE(ledger_->Put(Ended(Job("a", "chem"), seconds(4), hours(1))).ok());
  ASSERT_TRUE(ledger_->Put(Job("b", "bio")).ok());
  const auto facts = *MakeSiteFacts(config, *ledger_);
  ASSERT_EQ(facts.allocations_size(), 3);
  EXPECT_EQ(facts.allocations(0).campaign(), "bio");
  EXPECT_DOUBLE_EQ(facts.allocations(0).pending(), 2);
  EXPECT_EQ(facts.allocations(1).campaign(), "chem");
  EXPECT_DOUBLE_EQ(facts.allocations(1).used(), 2);
  EXPECT_DOUBLE_EQ(facts.allocations(1).limit(), 10);
  EXPECT_EQ(facts.allocations(2).campaign(), "");
  EXPECT_DOUBLE_EQ(facts.allocations(2).limit(), 30);
  ASSERT_EQ(facts.forecasts_size(), 1);
  EXPECT_DOUBLE_EQ(facts.forecasts(0).p50_seconds(), 4);
}

}  // namespace
}  // namespace tributary::client
