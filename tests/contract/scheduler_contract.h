// What every scheduler adapter does, whatever scheduler it speaks to. Instantiate with a harness:
//
//   struct Harness {
//     SchedulerAdapter& adapter();
//     void Restart();                        // a new adapter object, as after a restart of the
//     daemon void Wait();                           // lets a little time pass for the jobs JobSpec
//     Exiting(name, exit_code);      // a job that ends by itself at once JobSpec Endless(name); //
//     a job that runs until it is stopped int Runs(name);                        // how often the
//     job of this name really ran
//   };
//   INSTANTIATE_TYPED_TEST_SUITE_P(Local, SchedulerContract, Harness);
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::scheduler_adapters {

template <typename Harness>
class SchedulerContract : public testing::Test {
 protected:
  // A harness may say why its scheduler cannot be used here.
  void SetUp() override {
    if constexpr (requires { Harness::WhyNot(); }) {
      if (const std::string why = Harness::WhyNot(); !why.empty()) GTEST_SKIP() << why;
    }
  }

  JobStatus StatusOf(const std::string& id) {
    const std::vector<std::string> ids = {id};
    return harness_.adapter().Query(ids).at(0);
  }

  template <typename Condition>
  JobStatus WaitUntil(const std::string& id, Condition condition) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    JobStatus status = StatusOf(id);
    while (!condition(status) && std::chrono::steady_clock::now() < give_up) {
      harness_.Wait();
      status = StatusOf(id);
    }
    EXPECT_TRUE(condition(status)) << id << " is " << JobStateName(status.state);
    return status;
  }
  JobStatus WaitForEnd(const std::string& id) {
    return WaitUntil(id, [](const JobStatus& s) { return IsTerminal(s.state); });
  }
  JobStatus WaitForStart(const std::string& id) {
    return WaitUntil(id, [](const JobStatus& s) { return s.state == JobState::kRunning; });
  }

  Harness harness_;
};

TYPED_TEST_SUITE_P(SchedulerContract);

TYPED_TEST_P(SchedulerContract, CompletesWithExitCodeZero) {
  const std::string id = *this->harness_.adapter().Submit(this->harness_.Exiting("good", 0));
  const JobStatus status = this->WaitForEnd(id);
  EXPECT_EQ(status.id, id);
  EXPECT_EQ(status.state, JobState::kCompleted);
  EXPECT_EQ(status.exit_code, 0);
  EXPECT_FALSE(status.raw_state.empty());
  ASSERT_TRUE(status.submitted && status.started && status.ended);
  EXPECT_LE(*status.submitted, *status.started);
  EXPECT_LE(*status.started, *status.ended);
}

TYPED_TEST_P(SchedulerContract, FailureKeepsItsExitCode) {
  const std::string id = *this->harness_.adapter().Submit(this->harness_.Exiting("bad", 7));
  const JobStatus status = this->WaitForEnd(id);
  EXPECT_EQ(status.state, JobState::kFailed);
  EXPECT_EQ(status.exit_code, 7);
  EXPECT_NE(status.message.find("7"), std::string::npos) << status.message;
}

TYPED_TEST_P(SchedulerContract, EndsNeverChange) {
  const std::string id = *this->harness_.adapter().Submit(this->harness_.Exiting("ended", 3));
  const JobStatus first = this->WaitForEnd(id);
  EXPECT_TRUE(this->harness_.adapter().Cancel(id).ok());
  this->harness_.Restart();
  const JobStatus second = this->StatusOf(id);
  EXPECT_EQ(second.state, first.state);
  EXPECT_EQ(second.exit_code, first.exit_code);
  EXPECT_EQ(second.started, first.started);
  EXPECT_EQ(second.ended, first.ended);
}

TYPED_TEST_P(SchedulerContract, CancelEndsARunningJob) {
  const std::string id = *this->harness_.adapter().Submit(this->harness_.Endless("cancelled"));
  this->WaitForStart(id);
  EXPECT_TRUE(this->harness_.adapter().Cancel(id).ok());
  EXPECT_TRUE(this->harness_.adapter().Cancel(id).ok());
  EXPECT_EQ(this->WaitForEnd(id).state, JobState::kCancelled);
}

TYPED_TEST_P(SchedulerContract, CancelRightAfterSubmitEndsTheJob) {
  const std::string id = *this->harness_.adapter().Submit(this->harness_.Endless("at-once"));
  EXPECT_TRUE(this->harness_.adapter().Cancel(id).ok());
  EXPECT_EQ(this->WaitForEnd(id).state, JobState::kCancelled);
}

TYPED_TEST_P(SchedulerContract, WalltimeEndsAJob) {
  JobSpec spec = this->harness_.Endless("slow");
  spec.walltime = std::chrono::seconds(1);
  const std::string id = *this->harness_.adapter().Submit(spec);
  const JobStatus status = this->WaitForEnd(id);
  EXPECT_EQ(status.state, JobState::kTimedOut);
  ASSERT_TRUE(status.started && status.ended);
  EXPECT_GE(*status.ended - *status.started, std::chrono::seconds(1));
}

TYPED_TEST_P(SchedulerContract, SubmittingANameAgainRunsNothingMore) {
  const JobSpec spec = this->harness_.Exiting("once", 0);
  const std::string id = *this->harness_.adapter().Submit(spec);
  EXPECT_EQ(*this->harness_.adapter().Submit(spec), id);
  this->harness_.Restart();
  EXPECT_EQ(*this->harness_.adapter().Submit(spec), id);
  this->WaitForEnd(id);
  EXPECT_EQ(*this->harness_.adapter().Submit(this->harness_.Exiting("once", 5)), id);
  EXPECT_EQ(this->WaitForEnd(id).exit_code, 0);
  EXPECT_EQ(this->harness_.Runs("once"), 1);
}

TYPED_TEST_P(SchedulerContract, FindsJobsByNameAlsoAfterARestart) {
  EXPECT_EQ(*this->harness_.adapter().Find("lost"), std::nullopt);
  const std::string id = *this->harness_.adapter().Submit(this->harness_.Endless("lost"));
  EXPECT_EQ(*this->harness_.adapter().Find("lost"), id);
  this->harness_.Restart();
  EXPECT_EQ(*this->harness_.adapter().Find("lost"), id);
  EXPECT_EQ(*this->harness_.adapter().Find("los"), std::nullopt);
  EXPECT_EQ(*this->harness_.adapter().Find("../lost"), std::nullopt);
  this->WaitForStart(id);
  EXPECT_TRUE(this->harness_.adapter().Cancel(id).ok());
  this->WaitForEnd(id);
  EXPECT_EQ(*this->harness_.adapter().Find("lost"), id);
}

// Records of ended jobs have a rule that ends them.
TYPED_TEST_P(SchedulerContract, EndedJobsAreForgottenWhenNobodyWantsThem) {
  auto& adapter = this->harness_.adapter();
  const std::string kept = *adapter.Submit(this->harness_.Exiting("kept", 3));
  const std::string gone = *adapter.Submit(this->harness_.Exiting("gone", 0));
  const std::string lives = *adapter.Submit(this->harness_.Endless("gone-lives"));
  const JobStatus before = this->WaitForEnd(kept);
  this->WaitForEnd(gone);
  std::vector<std::string> asked;
  EXPECT_TRUE(adapter
                  .ForgetEnded([&](std::string_view name) {
                    asked.emplace_back(name);
                    return name.starts_with("gone");
                  })
                  .ok());
  EXPECT_NE(std::find(asked.begin(), asked.end(), "gone"), asked.end());
  EXPECT_EQ(std::find(asked.begin(), asked.end(), "gone-lives"), asked.end());
  EXPECT_EQ(*adapter.Find("gone-lives"), lives);
  EXPECT_EQ(this->StatusOf(kept).exit_code, before.exit_code);
  asked.clear();
  EXPECT_TRUE(adapter
                  .ForgetEnded([&](std::string_view name) {
                    asked.emplace_back(name);
                    return false;
                  })
                  .ok());
  EXPECT_EQ(asked, std::vector<std::string>{"kept"});
  EXPECT_TRUE(adapter.Cancel(lives).ok());
  this->WaitForEnd(lives);
}

TYPED_TEST_P(SchedulerContract, UnknownIdsAreUnknownNotFailed) {
  for (const std::string id : {"nobody", "", "../..", "a b", ".", "/"}) {
    const JobStatus status = this->StatusOf(id);
    EXPECT_EQ(status.id, id);
    EXPECT_EQ(status.state, JobState::kUnknown) << id;
    EXPECT_FALSE(status.message.empty());
    EXPECT_EQ(this->harness_.adapter().Cancel(id).code(), StatusCode::kNotFound) << id;
    EXPECT_EQ(this->harness_.adapter().Estimate(id).status().code(), StatusCode::kNotFound) << id;
  }
}

TYPED_TEST_P(SchedulerContract, QueryAnswersManyIdsInTheirOrder) {
  std::vector<std::string> ids;
  for (int code = 0; code < 5; ++code) {
    ids.push_back(*this->harness_.adapter().Submit(
        this->harness_.Exiting("batch" + std::to_string(code), code)));
  }
  for (const std::string& id : ids) this->WaitForEnd(id);
  ids.insert(ids.begin() + 2, "nobody");
  const std::vector<JobStatus> statuses = this->harness_.adapter().Query(ids);
  ASSERT_EQ(statuses.size(), 6u);
  for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(statuses[i].id, ids[i]);
  EXPECT_EQ(statuses[0].state, JobState::kCompleted);
  EXPECT_EQ(statuses[2].state, JobState::kUnknown);
  EXPECT_EQ(statuses[3].exit_code, 2);
  EXPECT_EQ(statuses[5].exit_code, 4);
  EXPECT_TRUE(this->harness_.adapter().Query({}).empty());
}

TYPED_TEST_P(SchedulerContract, ImpossibleSpecsAreRefusedWithBoundedText) {
  JobSpec spec = this->harness_.Exiting("fine", 0);
  spec.name = std::string(100000, '\n');
  const Status status = this->harness_.adapter().Submit(spec).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_LE(status.message().size(), 1024u);
  EXPECT_EQ(status.message().find('\n'), std::string::npos);
  EXPECT_EQ(this->harness_.adapter().Estimate(spec).status().code(), StatusCode::kInvalidArgument);
  const JobStatus unknown = this->StatusOf(std::string(100000, 'x'));
  EXPECT_LE(unknown.message.size(), kMaxJobMessageBytes);
  EXPECT_LE(this->harness_.adapter().Cancel(std::string(100000, 'x')).message().size(), 1024u);
}

TYPED_TEST_P(SchedulerContract, EstimatesForQueuedOrFutureJobsOnly) {
  const JobSpec spec = this->harness_.Exiting("when", 0);
  EXPECT_TRUE(this->harness_.adapter().Estimate(spec).ok());
  const std::string id = *this->harness_.adapter().Submit(spec);
  this->WaitForEnd(id);
  EXPECT_EQ(*this->harness_.adapter().Estimate(id), std::nullopt);
  EXPECT_EQ(this->harness_.Runs("when"), 1);
}

REGISTER_TYPED_TEST_SUITE_P(SchedulerContract, CompletesWithExitCodeZero, FailureKeepsItsExitCode,
                            EndsNeverChange, CancelEndsARunningJob,
                            CancelRightAfterSubmitEndsTheJob, WalltimeEndsAJob,
                            SubmittingANameAgainRunsNothingMore, FindsJobsByNameAlsoAfterARestart,
                            EndedJobsAreForgottenWhenNobodyWantsThem, UnknownIdsAreUnknownNotFailed,
                            QueryAnswersManyIdsInTheirOrder,
                            ImpossibleSpecsAreRefusedWithBoundedText,
                            EstimatesForQueuedOrFutureJobsOnly);

}  // namespace tributary::scheduler_adapters
