// `tributary demo`, made short: every part of it for real.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "cli/demo_plan.h"
#include "core/child_process.h"
#include "core/files.h"
#include "core/json.h"
#include "core/peft_adapter.h"
#include "core/progress_file.h"
#include "core/safetensors.h"
#include "core/text.h"

namespace tributary::integration {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int kInterrupted = 130;
constexpr std::chrono::minutes kLongest{6};  // of anything that is waited for
const char* const kProgram = TRIBUTARY_BIN_DIR "/tributary";

class DemoTest : public testing::Test {
 protected:
  // With what it prints in out().
  ChildProcess Start(std::vector<std::string> options) {
    std::vector<std::string> command = {kProgram, "demo", "--dir", Directory()};
    command.insert(command.end(), options.begin(), options.end());
    auto demo = ChildProcess::Start(command, Path("err"), Path("out"));
    EXPECT_TRUE(demo.ok()) << demo.status();
    return *std::move(demo);
  }
  int Run(const std::vector<std::string>& options) { return Await(Start(options)); }
  // The exit code; one that hangs is killed, and what ran then is in the failure.
  int Await(ChildProcess demo) {
    if (!WaitFor([&] { return demo.Poll().has_value(); })) {
      ADD_FAILURE() << "it does not end\n" << Situation();
      demo.Signal(SIGKILL);
    }
    while (!demo.Poll()) usleep(20'000);
    return *demo.Poll();
  }
  // Waits for a condition while the demonstration runs; false when it has ended before.
  bool AwaitWhile(ChildProcess& demo, const std::function<bool()>& condition) {
    bool met = false;
    if (!WaitFor([&] { return (met = condition()) || demo.Poll().has_value(); })) {
      ADD_FAILURE() << "it never comes so far\n" << Situation();
    }
    return met;
  }
  static bool WaitFor(const std::function<bool()>& condition) {
    const auto until = std::chrono::steady_clock::now() + kLongest;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > until) return false;
      usleep(20'000);
    }
    return true;
  }

  std::string Path(const std::string& name) const { return JoinPath(scratch_.path(), name); }
  std::string Directory() const { return Path("demo"); }
  std::string Text(const std::string& name) const {
    const auto text = ReadFile(Path(name));
    return text.ok() ? *text : text.status().message();
  }
  json Result() const {
    const auto result = ParseJson(Text("out"), "demo");
    EXPECT_TRUE(result.ok()) << result.status() << Text("out") << Text("err");
    return result.ok() ? *result : json::object();
  }
  // The folder of the only run.
  std::string RunFolder() const {
    const auto names = ListDirectory(Directory());
    if (!names.ok()) return "";
    for (const std::string& name : *names) {
      if (name.starts_with("run-")) return JoinPath(Directory(), name);
    }
    return "";
  }
  // Command lines of processes that have to do with this test's folder.
  std::vector<std::string> Processes() const {
    std::vector<std::string> found;
    const auto ids = ListDirectory("/proc");
    EXPECT_TRUE(ids.ok()) << ids.status();
    if (!ids.ok()) return found;
    for (const std::string& id : *ids) {
      if (id.find_first_not_of("0123456789") != std::string::npos) continue;
      const auto command = ReadFile("/proc/" + id + "/cmdline");
      if (command.ok() && command->find(scratch_.path()) != std::string::npos) {
        found.push_back(id + " " + EscapeControl(*command));
      }
    }
    return found;
  }
  std::string Situation() const {
    std::string text = "out: " + Text("out") + "\nerr: " + Text("err") + "\nprocesses:\n";
    for (const std::string& process : Processes()) text += process + "\n";
    return text;
  }
  // A trainer of each site is at work.
  bool JobsRun() const {
    int trainers = 0;
    for (const std::string& process : Processes()) {
      trainers += process.find("tributary-trainer") != std::string::npos &&
                          process.find("/federation/") != std::string::npos
                      ? 1
                      : 0;
    }
    return trainers >= 3;
  }
  std::string Work() const {
    return JoinPath(Directory(), std::string(cli::kBaseName) + "-3000.pretraining");
  }
  bool Pretrains() const {
    const auto line = LastProgress(Work());
    return line && line->step >= 5;
  }

  TemporaryDirectory scratch_ = std::move(TemporaryDirectory::Create("tributary-demo-")).value();
};

TEST_F(DemoTest, FederatesThreeSitesAndPrintsTheTable) {
  // In a directory with what YAML would read otherwise, given by a relative path.
  const std::string name = "with, {odd}: name";
  auto demo = ChildProcess::Start(
      {"/bin/sh", "-c",
       "cd \"$1\" && exec \"$0\" demo --json --dir \"$2\" --base-steps 150 --rounds 2 --steps 15",
       kProgram, scratch_.path(), name},
      Path("err"), Path("out"));
  ASSERT_TRUE(demo.ok());
  ASSERT_EQ(Await(*std::move(demo)), 0) << Text("err");
  const json result = Result();
  std::vector<std::string> models;
  for (const auto& model : result["models"]) {
    models.push_back(model["model"]);
    EXPECT_EQ(model["loss"].size(), 3U);
    EXPECT_GT(model["mean_loss"].get<double>(), 1.0);
    EXPECT_LT(model["mean_loss"].get<double>(), 9.0);
  }
  EXPECT_EQ(models, (std::vector<std::string>{"base", "chemistry-physics alone", "biology alone",
                                              "medicine alone", "federated", "pooled"}));
  EXPECT_TRUE(result["federation_wins"].get<bool>()) << result.dump(2);
  EXPECT_EQ(result["samples"].size(), 3U);
  for (const auto& sample : result["samples"]) {
    EXPECT_THAT(sample["prompt"].get<std::string>(), HasSubstr("Define: "));
    EXPECT_NE(sample["base"], sample["federated"]);
  }
  const std::string adapter = result["adapter"];
  EXPECT_TRUE(adapter.starts_with(scratch_.path() + "/" + name)) << adapter;
  const auto weights = SafetensorsFile::Open(JoinPath(adapter, kAdapterWeightsFile));
  ASSERT_TRUE(weights.ok()) << weights.status();
  EXPECT_EQ(weights->ToManifest().size(), 4U * 7U * 2U);  // layers, modules, A and B
  EXPECT_TRUE(PathExists(JoinPath(adapter, kAdapterConfigFile)));
  EXPECT_THAT(Processes(), IsEmpty());

  // What was made is a model directory like any other.
  const std::string base = result["base_model"];
  ASSERT_EQ(Run({"--model", base, "--rounds", "1", "--steps", "2"}), 0) << Text("err");
  EXPECT_THAT(Text("out"), HasSubstr("base model: " + base));
  EXPECT_THAT(Text("out"), HasSubstr("held-out loss"));
  EXPECT_THAT(Text("out"), HasSubstr("Define: amethyst"));
  EXPECT_THAT(Text("out"), testing::Not(HasSubstr("pretraining")));
}

TEST_F(DemoTest, RefusesWhatCannotWorkBeforeAnythingIsTrained) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"--strategy", "fedavgg"}, "fedavg"},
      {{"--strategy", "fedavg,scaffold", "--ranks", "4,8,16"}, "rank"},
      {{"--initial", Path("nowhere")}, "nowhere"},
      {{"--model", Path("nowhere")}, "--model"},
  };
  for (const auto& [options, part] : cases) {
    ASSERT_TRUE(RemoveFile(Path("err")).ok());
    EXPECT_NE(Run(options), 0);
    EXPECT_THAT(Text("err"), HasSubstr(part));
    EXPECT_FALSE(PathExists(JoinPath(Directory(), "data"))) << part;
    EXPECT_THAT(Processes(), IsEmpty());
  }
}

TEST_F(DemoTest, CtrlCLeavesNoProcessBehind) {
  ChildProcess demo = Start({"--base-steps", "20", "--rounds", "50", "--steps", "5000"});
  ASSERT_TRUE(AwaitWhile(demo, [&] { return JobsRun(); })) << Text("err");
  demo.Signal(SIGINT);
  EXPECT_EQ(Await(std::move(demo)), kInterrupted);
  EXPECT_THAT(Processes(), IsEmpty());
  EXPECT_THAT(Text("err"), HasSubstr("The same command"));
}

TEST_F(DemoTest, KilledOutrightItsProcessesEndToo) {
  ChildProcess demo = Start({"--base-steps", "20", "--rounds", "50", "--steps", "5000"});
  ASSERT_TRUE(AwaitWhile(demo, [&] { return JobsRun(); })) << Text("err");
  demo.Signal(SIGKILL);
  EXPECT_EQ(Await(std::move(demo)), 128 + SIGKILL);
  EXPECT_TRUE(WaitFor([&] { return Processes().empty(); })) << Situation();
}

TEST_F(DemoTest, PretrainingGoesOnWhereItWasInterrupted) {
  const auto goes_on = [&] {
    const auto log = ReadFile(JoinPath(Work(), "trainer.log"));
    return log.ok() && log->find("going on after step") != std::string::npos;
  };
  const std::vector<std::pair<int, std::function<bool()>>> interruptions = {
      {SIGTERM, [&] { return Pretrains(); }}, {SIGKILL, goes_on}};
  for (const auto& [number, moment] : interruptions) {
    ChildProcess demo = Start({"--base-steps", "3000"});
    ASSERT_TRUE(AwaitWhile(demo, moment)) << Text("err");
    demo.Signal(number);
    EXPECT_EQ(Await(std::move(demo)), number == SIGKILL ? 128 + SIGKILL : kInterrupted);
    EXPECT_TRUE(WaitFor([&] { return Processes().empty(); })) << Situation();
    EXPECT_TRUE(PathExists(JoinPath(Work(), "checkpoint.safetensors")));
  }
  EXPECT_THAT(Text("err"), HasSubstr("goes on with the base model where it was"));
  EXPECT_THAT(Text("out"), HasSubstr("pretraining: learning a tokenizer"));
}

}  // namespace
}  // namespace tributary::integration
