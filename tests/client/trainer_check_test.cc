#include "client/trainer_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/core/test_files.h"

namespace tributary::client {
namespace {

using testing::HasSubstr;

class TrainerCheckTest : public testing::Test {
 protected:
  // What the check says of a trainer that is this shell script; $1 is the kind, $3 the directory.
  Checks Try(const std::string& script) { return TryCommand({"/bin/sh", "-c", script, "trainer"}); }
  Checks TryCareless(std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"python3", TRIBUTARY_CARELESS_TRAINER});
    return TryCommand(flags);
  }
  static Check Find(const Checks& checks, const std::string& name) {
    for (const Check& check : checks) {
      if (check.name == name) return check;
    }
    ADD_FAILURE() << "no trial " << name;
    return {};
  }
  Checks TryCommand(const std::vector<std::string>& command) {
    TrainerCheckOptions options;
    options.command = command;
    options.patience = std::chrono::milliseconds(300);
    options.grace = std::chrono::milliseconds(2000);
    options.directory = directory_ / ("tasks-" + std::to_string(++runs_));
    options.limit = std::chrono::seconds(20);
    Checks checks;
    const Status status =
        CheckTrainerContract(options, [&](const Check& check) { checks.push_back(check); });
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_FALSE(checks.empty());
    return checks;
  }
  // A result that would do; `rest` changes it.
  static std::string Result(const std::string& rest) {
    return R"(mkdir "$3/u"; echo '{"schema": 1, "completion": "complete", "message": "", )"
           R"("samples": 32, "tokens": 9, "steps": 8, "learning_rate_sum": 0.1, "loss_first": 1, )"
           R"("loss_last": 1, "train_seconds": 1, "metrics": {}}' > "$3/u/result.json"; )"
           R"(cp "$3"/global/* "$3/u"; )" +
           rest + R"( mv "$3/u" "$3/update")";
  }

  const TestDirectory directory_;
  int runs_ = 0;
};

TEST_F(TrainerCheckTest, NoTrainerNoResult) {
  const Checks checks = Try("echo sorry; exit 3");
  ASSERT_EQ(checks.size(), 2u);
  EXPECT_EQ(checks[0].name, "train");
  EXPECT_EQ(checks[0].outcome, Outcome::kFailed);
  EXPECT_THAT(checks[0].found, HasSubstr("left no update/result.json"));
  EXPECT_EQ(checks[1].outcome, Outcome::kSkipped);
}

TEST_F(TrainerCheckTest, WeightsThatAreThoseOfTheStartAreNoTraining) {
  EXPECT_THAT(Try(Result(""))[0].found, HasSubstr("nothing was learnt"));
}

TEST_F(TrainerCheckTest, ATruncatedAdapterIsSeen) {
  const Check check = Try(Result(R"(echo > "$3/u/adapter_model.safetensors";)"))[0];
  EXPECT_EQ(check.outcome, Outcome::kFailed);
  EXPECT_THAT(check.found, HasSubstr("safetensors"));
  EXPECT_THAT(check.advice, HasSubstr("train.log"));
}

TEST_F(TrainerCheckTest, AChangedStartIsSeen) {
  EXPECT_THAT(Try(Result(R"(echo > "$3/global/adapter_model.safetensors";)"))[0].found,
              HasSubstr("global/ was changed"));
}

TEST_F(TrainerCheckTest, DirectivesThatAreIgnoredAreSeen) {
  const Checks checks = TryCareless({});
  EXPECT_EQ(Find(checks, "train").outcome, Outcome::kOk);
  EXPECT_EQ(Find(checks, "SIGTERM").outcome, Outcome::kOk);
  for (const auto& [name, what] : std::map<std::string, std::string>{
           {"frozen", "changed"},
           {"pruning", "not zero"},
           {"proximal", "it was ignored"},
           {"gradient-offset", "asks for about -0.2"},
           {"keep-optimizer", "left no update/optimizer.safetensors"},
           {"merged", "does not depend on the adapter"}}) {
    EXPECT_EQ(Find(checks, name).outcome, Outcome::kFailed) << name;
    EXPECT_THAT(Find(checks, name).found, HasSubstr(what)) << name;
  }
}

TEST_F(TrainerCheckTest, AProductIsComparedWithNoEvaluationThatFailed) {
  const Checks checks = TryCareless({"no-evaluation"});
  EXPECT_EQ(Find(checks, "evaluate").outcome, Outcome::kFailed);
  EXPECT_EQ(Find(checks, "merged").outcome, Outcome::kSkipped);
}

// Each of the three trials with a signal took as long as the limit of a run.
TEST_F(TrainerCheckTest, ATrainerThatSaysNothingGetsItsSignalsSoon) {
  const auto began = std::chrono::steady_clock::now();
  const Checks checks = TryCareless({"silent", "no-evaluation"});
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(30));
  for (const char* name : {"SIGTERM", "SIGUSR1"}) {
    EXPECT_EQ(Find(checks, name).outcome, Outcome::kFailed) << name;
    EXPECT_THAT(Find(checks, name).found, HasSubstr("stall_timeout")) << name;
  }
}

TEST_F(TrainerCheckTest, ATrainerThatHearsNoSignalIsEndedSoon) {
  const Checks checks = TryCareless({"deaf", "no-evaluation"});
  EXPECT_EQ(Find(checks, "SIGTERM").outcome, Outcome::kFailed);
  EXPECT_THAT(Find(checks, "SIGTERM").found, HasSubstr("of its signal"));
}

TEST_F(TrainerCheckTest, AnEndAfterTheUpdateIsNoFault) {
  const Check check = Find(TryCareless({"lingers"}), "resume");
  EXPECT_EQ(check.outcome, Outcome::kSkipped) << check.found;
}

TEST_F(TrainerCheckTest, AnUpdateThatIsFilledInItsPlaceIsSeen) {
  const Check check = Find(TryCareless({"piecemeal"}), "resume");
  EXPECT_EQ(check.outcome, Outcome::kFailed);
  EXPECT_THAT(check.found, HasSubstr("before it was whole"));
}

TEST_F(TrainerCheckTest, ADirectoryThatIsThereIsLeftAlone) {
  TrainerCheckOptions options;
  options.command = {"/bin/true"};
  options.directory = directory_.path();
  EXPECT_EQ(CheckTrainerContract(options, [](const Check&) {}).code(), StatusCode::kAlreadyExists);
}

}  // namespace
}  // namespace tributary::client
