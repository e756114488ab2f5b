#include "client/doctor.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "client/doctor_files.h"
#include "client/doctor_policy.h"
#include "client/doctor_scheduler.h"
#include "client/doctor_server.h"
#include "client/doctor_trainer.h"
#include "client/proxy.h"
#include "core/files.h"
#include "core/safetensors.h"
#include "core/sqlite.h"
#include "scheduler_adapters/fake_adapter.h"
#include "security/key_file.h"

namespace tributary::client {

void PrintTo(const Check& check, std::ostream* out) {
  *out << check.name << " (" << static_cast<int>(check.outcome) << "): " << check.found;
}

namespace {

using scheduler_adapters::FakeCluster;
using scheduler_adapters::FakeJobPlan;
using scheduler_adapters::FakeSchedulerAdapter;
using scheduler_adapters::JobSpec;
using std::chrono::seconds;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

auto Is(Outcome outcome, const std::string& found) {
  return AllOf(Field(&Check::outcome, outcome), Field(&Check::found, HasSubstr(found)));
}
auto Named(const std::string& name, Outcome outcome, const std::string& found) {
  return AllOf(Field(&Check::name, name), Is(outcome, found));
}

// Every line that is not ok says what to do.
void ExpectAdvice(const Checks& checks) {
  for (const Check& check : checks) {
    const bool trouble = check.outcome == Outcome::kWarning || check.outcome == Outcome::kFailed;
    EXPECT_EQ(trouble, !check.advice.empty()) << check.name << ": " << check.found;
  }
}

class DoctorTest : public testing::Test {
 protected:
  DoctorTest() {
    config_.server = "127.0.0.1:1";
    config_.state_dir = Path("state");
    config_.workspace = Path("work");
    config_.job.trainer = {"/bin/true"};
    config_.job.poll_interval = std::chrono::milliseconds(1);
    config_.policy.emplace();
    config_.policy->campaigns = {"chem-*"};
    config_.policy->leads = {"lead"};
  }

  std::string Path(const std::string& name) const { return directory_.path() + "/" + name; }
  void Write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    ASSERT_TRUE(MakeDirectories(DirectoryOf(Path(name))).ok());
    ASSERT_TRUE(WriteFileAtomic(Path(name), text, mode).ok());
  }
  // The trainer as a program of this text.
  void SetTrainer(const std::string& script) {
    Write("trainer", script, 0700);
    config_.job.trainer = {Path("trainer")};
  }
  bool LeavesNothing(const std::string& directory) const {
    return ListDirectory(Path(directory)).value().empty();
  }

  TemporaryDirectory directory_ = *TemporaryDirectory::Create("doctor-test-");
  ClientConfig config_;
};

// ---- files

TEST_F(DoctorTest, AStateDirectoryIsWrittenToAndLeftAsItWas) {
  ASSERT_TRUE(MakeDirectories(config_.state_dir).ok());
  const Check check = CheckStateDirectory(config_);
  EXPECT_THAT(check, Is(Outcome::kWarning, "writable"));  // it is under /tmp
  EXPECT_THAT(check.advice, HasSubstr("survives a reboot"));
  EXPECT_TRUE(LeavesNothing("state"));
}

TEST_F(DoctorTest, AMissingStateDirectoryIsNotMade) {
  EXPECT_THAT(CheckStateDirectory(config_), Is(Outcome::kWarning, "made by the daemon"));
  EXPECT_FALSE(PathExists(config_.state_dir));
}

TEST_F(DoctorTest, AStateDirectoryThatCannotBeFails) {
  config_.state_dir = "/proc/none";
  const Check check = CheckStateDirectory(config_);
  EXPECT_EQ(check.outcome, Outcome::kFailed);
  EXPECT_FALSE(check.advice.empty());
}

// The process that has the database open is found by its locks, which it keeps.
TEST_F(DoctorTest, ARunningDaemonIsSeenAndLeftAlone) {
  ASSERT_TRUE(MakeDirectories(config_.state_dir).ok());
  int ready[2], leave[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(leave), 0);
  const pid_t daemon = fork();
  if (daemon == 0) {
    close(leave[1]);
    const auto database = Database::Open(config_.state_dir + "/client.db");
    char c = database.ok() ? 'y' : 'n';
    (void)!write(ready[1], &c, 1);
    (void)!read(leave[0], &c, 1);
    _exit(0);
  }
  char opened = 0;
  ASSERT_EQ(read(ready[0], &opened, 1), 1);
  ASSERT_EQ(opened, 'y');
  EXPECT_EQ(HolderOf(config_.state_dir + "/client.db"), daemon);
  EXPECT_THAT(CheckStateDirectory(config_).found,
              HasSubstr("the daemon, process " + std::to_string(daemon)));
  EXPECT_FALSE(Database::Open(config_.state_dir + "/client.db").ok());  // its locks hold
  close(leave[0]);
  close(leave[1]);
  waitpid(daemon, nullptr, 0);
  EXPECT_EQ(HolderOf(config_.state_dir + "/client.db"), std::nullopt);
}

TEST_F(DoctorTest, AWorkspaceOfThisUserAloneIsFine) {
  ASSERT_TRUE(MakeDirectories(config_.workspace).ok());
  config_.policy->max_update.bytes = 1000;
  const Checks checks = CheckWorkspace(config_);
  EXPECT_THAT(checks, ElementsAre(Named("workspace", Outcome::kOk, "mode 0700"),
                                  Named("workspace place", Outcome::kOk, "jobs run here"),
                                  Named("workspace room", Outcome::kOk, "2 tasks")));
  EXPECT_TRUE(LeavesNothing("work"));
}

TEST_F(DoctorTest, AWorkspaceThatOthersMayReadIsAWarning) {
  ASSERT_TRUE(MakeDirectories(config_.workspace).ok());
  ASSERT_EQ(chmod(config_.workspace.c_str(), 0755), 0);
  const Checks checks = CheckWorkspace(config_);
  EXPECT_THAT(checks, Contains(Named("workspace", Outcome::kWarning, "mode 0755")));
  EXPECT_EQ(checks[0].advice, "run: chmod 700 " + config_.workspace);
}

TEST_F(DoctorTest, RoomForAllTasksIsAskedFor) {
  config_.policy->max_update.bytes = std::uint64_t{1} << 50;
  EXPECT_THAT(CheckWorkspace(config_), Contains(Named("workspace room", Outcome::kWarning,
                                                      "2 tasks of policy.max_update "
                                                      "need 6.0 PiB")));
}

TEST_F(DoctorTest, AWorkspaceOfThisMachineIsAWarningForABatchSystem) {
  for (const char* adapter : {"slurm", "pbs"}) {
    config_.scheduler.adapter = adapter;
    EXPECT_THAT(CheckWorkspace(config_),
                Contains(Named("workspace place", Outcome::kWarning, "of this machine")));
  }
}

// ---- policy, models, data

TEST_F(DoctorTest, NoPolicyAllowsNothing) {
  config_.policy.reset();
  EXPECT_THAT(CheckPolicy(config_),
              ElementsAre(Is(Outcome::kWarning, "every campaign is refused")));
  config_.policy.emplace();
  EXPECT_THAT(CheckPolicy(config_), ElementsAre(Is(Outcome::kWarning, "no campaign can be")));
}

TEST_F(DoctorTest, APolicyIsSummedUpAndStarsAreNamed) {
  config_.policy->models["base"] = "/models/base";
  config_.policy->data["train"] = "/data/train.jsonl";
  EXPECT_THAT(
      CheckPolicy(config_),
      ElementsAre(Is(Outcome::kOk, "campaigns chem-* led by lead; models base; data train")));
  config_.policy->campaigns = config_.policy->leads = config_.policy->metrics = {"*"};
  EXPECT_THAT(CheckPolicy(config_), ElementsAre(Is(Outcome::kOk, "campaigns * led by *"),
                                                Named("policy.campaigns", Outcome::kWarning, "*"),
                                                Named("policy.leads", Outcome::kWarning, "*"),
                                                Named("policy.metrics", Outcome::kWarning, "*")));
  ExpectAdvice(CheckPolicy(config_));
}

class DoctorModelTest : public DoctorTest {
 protected:
  DoctorModelTest() { config_.policy->models["base"] = Path("model"); }
  void WriteWeights(const std::string& file) const {
    HostTensor tensor{{"w", DType::kF32, {2}}, {}};
    tensor.bytes.resize(tensor.spec.ByteCount());
    ASSERT_TRUE(MakeDirectories(Path("model")).ok());
    ASSERT_TRUE(WriteSafetensors(Path("model/" + file), {tensor}).ok());
  }
};

TEST_F(DoctorModelTest, ConfigurationAndWeightsAreRead) {
  WriteWeights("model.safetensors");
  EXPECT_THAT(CheckModels(config_),
              ElementsAre(Named("model base", Outcome::kFailed, "config.json")));
  Write("model/config.json", R"({"model_type": "llama"})");
  EXPECT_THAT(CheckModels(config_), ElementsAre(Is(Outcome::kOk, "llama, 1 tensors in 1 file")));
  Write("model/model.safetensors", "no tensors");
  EXPECT_THAT(CheckModels(config_), ElementsAre(Is(Outcome::kFailed, "model.safetensors")));
  ASSERT_TRUE(RemoveFile(Path("model/model.safetensors")).ok());
  EXPECT_THAT(CheckModels(config_), ElementsAre(Is(Outcome::kFailed, "no *.safetensors")));
  ExpectAdvice(CheckModels(config_));
}

// Every trainer reads them, as safetensors itself does.
TEST_F(DoctorModelTest, WeightsThatAreNotAlignedAreRight) {
  Write("model/config.json", "{}");
  const std::string header = R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  ASSERT_NE(header.size() % 8, 0U);  // so the tensor is not aligned
  std::string file = {static_cast<char>(header.size()), 0, 0, 0, 0, 0, 0, 0};
  file += header + std::string(8, '\0');
  Write("model/model.safetensors", file);
  EXPECT_THAT(CheckModels(config_), ElementsAre(Is(Outcome::kOk, "1 tensors")));
}

TEST_F(DoctorModelTest, EveryFileOfAnIndexMustBeThere) {
  Write("model/config.json", "{}");
  WriteWeights("model-1.safetensors");
  Write("model/model.safetensors.index.json",
        R"({"weight_map": {"w": "model-1.safetensors", "v": "model-2.safetensors"}})");
  EXPECT_THAT(CheckModels(config_), ElementsAre(Is(Outcome::kFailed, "model-2.safetensors")));
  WriteWeights("model-2.safetensors");
  EXPECT_THAT(CheckModels(config_), ElementsAre(Is(Outcome::kOk, "2 tensors in 2 files")));
  Write("model/model.safetensors.index.json", R"({"weight_map": {"w": "../../etc/passwd"}})");
  EXPECT_THAT(CheckModels(config_), ElementsAre(Is(Outcome::kFailed, "names no file")));
}

TEST_F(DoctorTest, TheFirstLineOfDataMustBeAnExample) {
  config_.policy->data["train"] = Path("train.jsonl");
  EXPECT_THAT(CheckData(config_), ElementsAre(Is(Outcome::kFailed, "train.jsonl")));
  const std::vector<std::tuple<std::string, Outcome, std::string>> cases = {
      {"{\"text\": \"a\"}\nnot looked at\n", Outcome::kOk, ", text"},
      {R"({"prompt": "a", "completion": "b"})", Outcome::kOk, "prompt and completion"},
      {R"({"instruction": "a", "output": "b"})", Outcome::kOk, "instructions"},
      {R"({"messages": []})", Outcome::kOk, "conversations"},
      {R"({"question": "a"})", Outcome::kWarning, "neither"},
      {R"({"text": 1})", Outcome::kWarning, "neither"},
      {"text\n", Outcome::kFailed, "train.jsonl:1"},
      {"[1]\n", Outcome::kFailed, "not a JSON object"},
      {"\n{}\n", Outcome::kFailed, "empty"},
      {"", Outcome::kFailed, "empty"},
      {std::string(5 << 20, 'x'), Outcome::kFailed, "longer than"}};
  for (const auto& [text, outcome, found] : cases) {
    Write("train.jsonl", text);
    EXPECT_THAT(CheckData(config_), ElementsAre(Named("data train", outcome, found)));
    ExpectAdvice(CheckData(config_));
  }
}

TEST_F(DoctorTest, WhatTheTrainerRefusesIsNotOk) {
  config_.policy->models["base"] = Path("model");
  config_.policy->data = {{"train", Path("train.jsonl")}, {"test", Path("test.jsonl")}};
  Write("model/config.json", R"({"model_type": "gemma"})");
  Write("train.jsonl", R"({"text": "a"})");
  const std::string answer =
      R"({"checks": [{"what": "model", "path": ")" + Path("model") +
      R"(", "outcome": "failed", "found": "model_type: gemma is not supported"}, )"
      R"({"what": "tokenizer", "path": ")" +
      Path("model") +
      R"(", "outcome": "ok", "found": "3 tokens"}, )"
      R"({"what": "data", "path": ")" +
      Path("train.jsonl") +
      R"(", "outcome": "warning", "found": "2 bad lines"}, )"
      R"({"what": "data", "path": ")" +
      Path("test.jsonl") + R"(", "outcome": "ok", "found": "7 examples"}]})";
  SetTrainer(
      "#!/bin/bash\n[ \"$1 $2\" = 'inspect --json' ] || exit 2\n"
      "echo 'a module says hello'\necho '" +
      answer + "'\nexit 1\n");
  const Inspections said = AskTrainerOfAll(config_, seconds(20));
  EXPECT_THAT(CheckModels(config_, said),
              ElementsAre(Named("model base", Outcome::kFailed, "gemma is not supported")));
  EXPECT_THAT(CheckData(config_, said),
              ElementsAre(Named("data test", Outcome::kOk, "7 examples"),
                          Named("data train", Outcome::kWarning, "2 bad lines")));
  ExpectAdvice(CheckModels(config_, said));
  ExpectAdvice(CheckData(config_, said));
  SetTrainer("#!/bin/bash\necho usage >&2\nexit 2\n");  // one that does not know it
  EXPECT_TRUE(AskTrainerOfAll(config_, seconds(20)).empty());
}

// ---- trainer

TEST_F(DoctorTest, ATrainerSaysItsVersionInTheEnvironmentOfAJob) {
  setenv("DOCTOR_LEAK", "seen", 1);
  config_.job.environment = {{"FROM_FILE", "it's here"}};
  config_.job.setup = {"export FROM_SETUP=\"$FROM_FILE too\""};
  SetTrainer("#!/bin/bash\necho \"$1 $FROM_SETUP${DOCTOR_LEAK:-}\"\npwd\n");
  EXPECT_THAT(CheckTrainer(config_, seconds(20)),
              ElementsAre(Named("trainer", Outcome::kOk, "version it's here too; /tmp/")));
}

TEST_F(DoctorTest, ATrainerThatDoesNotStartFails) {
  config_.job.trainer = {Path("missing")};
  EXPECT_THAT(CheckTrainer(config_, seconds(20)), ElementsAre(Is(Outcome::kFailed, "not start")));
  Write("plain", "text");  // not executable
  config_.job.trainer = {Path("plain")};
  EXPECT_THAT(CheckTrainer(config_, seconds(20)), ElementsAre(Is(Outcome::kFailed, "not start")));
  SetTrainer("#!/bin/sh\nkill -ILL $$\n");
  EXPECT_THAT(CheckTrainer(config_, seconds(20)), ElementsAre(Is(Outcome::kFailed, "not start")));
  SetTrainer("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'torch'\" >&2; exit 1\n");
  EXPECT_THAT(CheckTrainer(config_, seconds(20)), ElementsAre(Is(Outcome::kFailed, "'torch'")));
  ExpectAdvice(CheckTrainer(config_, seconds(20)));
}

TEST_F(DoctorTest, ATrainerThatDoesNotKnowVersionIsAWarning) {
  SetTrainer("#!/bin/sh\necho usage >&2; exit 2\n");
  EXPECT_THAT(CheckTrainer(config_, seconds(20)),
              ElementsAre(Is(Outcome::kWarning, "does not know `version`: exit status 2: usage")));
}

TEST_F(DoctorTest, ATrainerThatNeverEndsIsEnded) {
  SetTrainer("#!/bin/sh\nexec sleep 1000\n");
  EXPECT_THAT(CheckTrainer(config_, seconds(1)),
              ElementsAre(Is(Outcome::kWarning, "did not end within 1 s")));
}

TEST_F(DoctorTest, WhatATrainerPrintsIsBounded) {
  SetTrainer("#!/bin/sh\nhead -c 5000000 /dev/zero | tr '\\0' '\\033'\n");
  const Checks checks = CheckTrainer(config_, seconds(20));
  ASSERT_THAT(checks, ElementsAre(Is(Outcome::kOk, "\\x1b")));
  EXPECT_LT(checks[0].found.size(), 400U);
}

TEST_F(DoctorTest, AModuleThatDoesNotLoadIsNamed) {
  config_.job.modules = {"bad's"};  // there is no `module` here
  SetTrainer("#!/bin/sh\necho fine\n");
  const Checks checks = CheckTrainer(config_, seconds(20));
  EXPECT_THAT(checks, Contains(Named("module", Outcome::kFailed, "bad's cannot be loaded")));
  EXPECT_THAT(checks, Contains(Named("trainer", Outcome::kOk, "fine")));
}

TEST_F(DoctorTest, ThePythonOfATrainerIsFound) {
  JobSection job;
  const auto python_of = [&](const std::vector<std::string>& trainer) {
    job.trainer = trainer;
    return PythonOf(job);
  };
  EXPECT_THAT(python_of({"/opt/env/bin/python3.11", "-s", "-u", "train.py"}),
              ElementsAre("/opt/env/bin/python3.11", "-s"));
  EXPECT_THAT(python_of({"/opt/pythonic"}), IsEmpty());
  const std::vector<std::pair<std::string, std::string>> scripts = {
      {"#!/usr/bin/env python3\n", "python3"},
      {"#!/usr/bin/env -S python3 -u\n", "python3"},
      {"#! /opt/env/bin/python\n", "/opt/env/bin/python"},
      {"#!/bin/sh\n'''exec' /very/long/bin/python3 \"$0\" \"$@\"\n' '''\n",
       "/very/long/bin/python3"},
      {"#!/bin/bash\npython3 train.py\n", ""},
      {"\x7f"
       "ELF",
       ""},
      {"", ""}};
  for (const auto& [text, interpreter] : scripts) {
    Write("script", text);
    const std::vector<std::string> words = python_of({Path("script")});
    EXPECT_EQ(words.empty() ? "" : words[0], interpreter) << text;
  }
}

class DoctorPythonTest : public DoctorTest {
 protected:
  void SetUp() override {
    if (std::system("/usr/bin/env python3 -c 'import importlib.metadata'") != 0) {
      GTEST_SKIP() << "no python3 of at least 3.8 here";
    }
    const char* path = std::getenv("PATH");
    config_.job.environment = {
        {"PATH", path}, {"HOME", directory_.path()}, {"PYTHONPATH", Path("packages")}};
    SetTrainer("#!/usr/bin/env python3\n");
  }
  // As an installer leaves it.
  void Install(const std::string& name, const std::string& version,
               const std::vector<std::string>& needs) const {
    std::string text = "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n";
    for (const std::string& need : needs) text += "Requires-Dist: " + need + "\n";
    Write(folder_ + "/" + name + "-" + version + ".dist-info/METADATA", text);
  }
  Checks Look() const { return CheckPythonPackages(config_, seconds(60)); }

  std::string folder_ = "packages";
};

TEST_F(DoctorPythonTest, ConflictsAreListedOneByOne) {
  Install("torch", "2.4.0", {"doctor_leaf>=1"});
  Install("doctor_leaf", "0.5", {});
  Install("transformers", "4.40.0",
          {"tokenizers<0.20,>=0.19", "safetensors>=0.4", "nothing; extra == 'all'",
           "nothing; python_version < '3'"});
  Install("tokenizers", "0.20.1", {});
  Install("peft", "0.10.0", {"doctor_missing>=0.21"});
  Install("doctor_other", "1.0", {"Doctor.Leaf>=2"});
  Install("safetensors", "0.4.5", {});
  const Checks checks = Look();
  EXPECT_THAT(checks, Contains(Named("Python packages", Outcome::kOk,
                                     "peft 0.10.0, safetensors 0.4.5, tokenizers 0.20.1, torch "
                                     "2.4.0, transformers 4.40.0")));
  const auto failed = [](const std::string& text) {
    return Contains(Named("conflict", Outcome::kFailed, text));
  };
  EXPECT_THAT(checks, failed("transformers 4.40.0 needs tokenizers<0.20,>=0.19; 0.20.1 is"));
  EXPECT_THAT(checks, failed("peft 0.10.0 needs doctor-missing>=0.21, which is not installed"));
  EXPECT_THAT(checks, failed("torch 2.4.0 needs doctor-leaf>=1; 0.5 is installed"));
  EXPECT_THAT(checks, Contains(Named("conflict", Outcome::kWarning,
                                     "doctor-other 1.0 needs doctor-leaf>=2; 0.5 is installed")));
  EXPECT_THAT(checks, Not(Contains(Field(&Check::found, HasSubstr("nothing")))));
  ExpectAdvice(checks);
}

TEST_F(DoctorPythonTest, PackagesThatFitAreOneLine) {
  config_.job.trainer = {"/usr/bin/env", "python3"};
  EXPECT_THAT(Look(), ElementsAre(Field(&Check::outcome, Outcome::kSkipped)));  // `env` hides it
  SetTrainer("#!/usr/bin/env python3\n");
  Install("transformers", "4.40.0", {"tokenizers<0.20,>=0.19"});
  Install("tokenizers", "0.19.1", {});
  Install("torch", "2.4.0", {});  // and not the one that this machine may have
  const Checks checks = Look();
  EXPECT_THAT(checks,
              Contains(Is(Outcome::kOk, "tokenizers 0.19.1, torch 2.4.0, transformers 4.40.0")));
  EXPECT_THAT(checks, Not(Contains(Field(&Check::outcome, Outcome::kFailed))));
}

TEST_F(DoctorPythonTest, WhatTheSystemItselfPackagedIsTrusted) {
  folder_ = "system/dist-packages";
  config_.job.environment["PYTHONPATH"] = Path(folder_);
  Install("torch", "2.6.0", {"doctor_missing==1.13.1"});
  const Checks checks = Look();
  EXPECT_THAT(checks, Contains(Named("conflict", Outcome::kWarning,
                                     "torch 2.6.0 needs doctor-missing==1.13.1, which is not")));
  EXPECT_THAT(checks, Not(Contains(Field(&Check::outcome, Outcome::kFailed))));
}

TEST_F(DoctorPythonTest, AnInterpreterThatDoesNotRunIsAWarning) {
  Write("python3", "#!/bin/sh\necho broken >&2; exit 3\n", 0700);
  config_.job.trainer = {Path("python3"), "train.py"};
  EXPECT_THAT(Look(), ElementsAre(Is(Outcome::kWarning, "exit status 3: broken")));
  Write("python3", "#!/bin/sh\necho 'tributary-packages {\"conflicts\": 3}'\n", 0700);
  EXPECT_THAT(Look(), ElementsAre(Field(&Check::outcome, Outcome::kWarning)));
}

// ---- scheduler

class DoctorSchedulerTest : public DoctorTest {
 protected:
  DoctorSchedulerTest() {
    EXPECT_TRUE(MakeDirectories(config_.workspace).ok());
    plan_.run = [this](const JobSpec& spec) { return RunHere(spec); };
  }
  // The job's command as it is, in this process's environment.
  int RunHere(const JobSpec& spec) {
    spec_ = spec;
    const pid_t pid = fork();
    if (pid == 0) {
      std::vector<char*> arguments;
      for (const std::string& word : spec.command)
        arguments.push_back(const_cast<char*>(word.c_str()));
      arguments.push_back(nullptr);
      execv(arguments[0], arguments.data());
      _exit(127);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
  }
  Checks RunJob() {
    return CheckByJob(config_, adapter_, options_, [this](std::string_view text) {
      said_.emplace_back(text);
      if (on_progress_) on_progress_();
    });
  }

  FakeClock clock_{TimestampFromMicros(1'700'000'000'000'000)};
  FakeJobPlan plan_;
  FakeCluster cluster_{clock_, [this](const JobSpec&) { return plan_; }};
  FakeSchedulerAdapter adapter_{cluster_};
  TestJobOptions options_;
  std::vector<std::string> said_;
  std::function<void()> on_progress_;
  JobSpec spec_;
};

TEST_F(DoctorSchedulerTest, ASchedulerThatTakesTheJobIsFine) {
  EXPECT_THAT(CheckScheduler(config_, adapter_),
              ElementsAre(Named("scheduler", Outcome::kOk, "fake"),
                          Named("queue", Outcome::kOk, "takes a job of 1 node, 3600 s")));
  EXPECT_EQ(cluster_.submissions(), 0);
}

TEST_F(DoctorSchedulerTest, ASchedulerThatIsAwayFails) {
  cluster_.SetOutage(UnavailableError("connection refused"));
  const Checks checks = CheckScheduler(config_, adapter_);
  EXPECT_THAT(checks, ElementsAre(Is(Outcome::kFailed, "connection refused"),
                                  Named("queue", Outcome::kSkipped, "does not answer")));
  ExpectAdvice(checks);
}

TEST_F(DoctorSchedulerTest, AJobWritesIntoTheWorkspace) {
  EXPECT_THAT(RunJob(), ElementsAre(Named("job", Outcome::kOk, "wrote into the workspace")));
  EXPECT_TRUE(LeavesNothing("work"));
  EXPECT_TRUE(spec_.name.starts_with("trib-doctor."));
  EXPECT_EQ(spec_.walltime, seconds(300));
}

TEST_F(DoctorSchedulerTest, AJobSaysWhatItCannotRead) {
  config_.policy->models = {{"base", Path("nowhere")}};
  config_.policy->data = {{"train", "/dev/null"}};
  EXPECT_THAT(RunJob(), ElementsAre(Is(Outcome::kOk, "wrote"),
                                    Named("job paths", Outcome::kFailed, Path("nowhere"))));
}

TEST_F(DoctorSchedulerTest, AJobThatFailsShowsItsErrors) {
  plan_.run = [](const JobSpec& spec) {
    (void)WriteFileAtomic(spec.stderr_path, "module: command not found\n");
    return 3;
  };
  EXPECT_THAT(RunJob(), ElementsAre(Is(Outcome::kFailed, "module: command not found")));
  EXPECT_TRUE(LeavesNothing("work"));
}

TEST_F(DoctorSchedulerTest, AJobThatDoesNotStartInTimeIsCancelled) {
  plan_.queue_time = std::chrono::hours(1);
  options_.limit = seconds(0);
  EXPECT_THAT(RunJob(), ElementsAre(Is(Outcome::kWarning, "queued; no end within 0 s; cancelled")));
  EXPECT_TRUE(adapter_.ListLive("trib-")->empty());
  EXPECT_FALSE(said_.empty());
  EXPECT_TRUE(LeavesNothing("work"));
}

TEST_F(DoctorSchedulerTest, AnInterruptionCancelsTheJob) {
  plan_.queue_time = std::chrono::hours(1);
  bool interrupted = false;
  on_progress_ = [&] { interrupted = true; };
  options_.keep_going = [&] { return !interrupted; };
  EXPECT_THAT(RunJob(), ElementsAre(Is(Outcome::kFailed, "interrupted; cancelled")));
  EXPECT_TRUE(adapter_.ListLive("trib-")->empty());
}

TEST_F(DoctorSchedulerTest, AJobThatCannotBeCancelledIsNamed) {
  plan_.queue_time = std::chrono::hours(1);
  options_.limit = seconds(0);
  on_progress_ = [&] { cluster_.SetOutage(UnavailableError("gone")); };
  const Checks checks = RunJob();
  EXPECT_THAT(checks, ElementsAre(Is(Outcome::kFailed, "cannot be cancelled: gone")));
  EXPECT_THAT(checks[0].advice, HasSubstr("cancel job fake-1 by hand"));
}

class DoctorGpuTest : public DoctorSchedulerTest {
 protected:
  DoctorGpuTest() {
    options_.gpu = true;
    config_.job.gpus = 2;
  }
  // Runs the job with these tools alone in front of its PATH.
  Checks RunWith(const std::string& tool, const std::string& script) {
    Write("bin/" + tool, "#!/bin/sh\n" + script + "\n", 0700);
    const std::string before = std::getenv("PATH");
    setenv("PATH", (Path("bin") + ":/usr/bin:/bin").c_str(), 1);
    Checks checks = RunJob();
    setenv("PATH", before.c_str(), 1);
    EXPECT_TRUE(RemoveFile(Path("bin/" + tool)).ok());
    return checks;
  }
};

TEST_F(DoctorGpuTest, GpusAreListedByWhateverToolThereIs) {
  EXPECT_THAT(RunWith("nvidia-smi", "echo 'H100, 80 GiB'; echo 'H100, 80 GiB'"),
              Contains(Named("GPU", Outcome::kOk, "nvidia-smi: H100, 80 GiB, H100, 80 GiB")));
  EXPECT_THAT(RunWith("nvidia-smi", "echo 'H100, 80 GiB'"),
              Contains(Named("GPU", Outcome::kWarning, "job.gpus is 2")));
  EXPECT_THAT(RunWith("nvidia-smi", "echo 'NVIDIA-SMI has failed' >&2; exit 9"),
              Contains(Named("GPU", Outcome::kFailed, "has failed")));
}

TEST_F(DoctorGpuTest, OtherVendorsToo) {
  if (std::system("command -v nvidia-smi >/dev/null") == 0) GTEST_SKIP() << "nvidia-smi is here";
  EXPECT_THAT(RunWith("rocm-smi", "echo ===; echo 'GPU[0] : Card series: MI250X'"),
              Contains(Named("GPU", Outcome::kOk, "rocm-smi: GPU[0] : Card series: MI250X")));
  EXPECT_THAT(RunWith("xpu-smi", "echo '| 0 | Device Name: Max 1550 |'"),
              Contains(Named("GPU", Outcome::kOk, "Max 1550")));
  EXPECT_THAT(RunWith("other", ""), Contains(Named("GPU", Outcome::kFailed, "neither nvidia-smi")));
}

// ---- server

class DoctorCredentialsTest : public DoctorTest {
 protected:
  void SetUp() override {
    const auto authority = security::CreateCertificateAuthority(
        "test", security::ValidFrom(now_, security::kCaLifetime));
    ASSERT_TRUE(authority.ok());
    const auto key = security::PrivateKey::Generate();
    ASSERT_TRUE(key.ok());
    const auto certificate = security::IssueMemberCertificate(
        *authority, *security::MakeCertificateRequest(*key),
        {"test", security::Role::kSite, "alpha"}, security::ValidFrom(now_, std::chrono::days(90)));
    ASSERT_TRUE(certificate.ok()) << certificate.status();
    config_.tls = {Path("ca.crt"), Path("member.crt"), Path("member.key")};
    Write("ca.crt", authority->certificate_pem);
    Write("member.crt", *certificate);
    ASSERT_TRUE(security::WriteKeyFile(config_.tls.key, *key).ok());
  }
  Checks After(int days) const { return CheckCredentials(config_, now_ + std::chrono::days(days)); }

  const Timestamp now_ = SystemClock().Now();
};

TEST_F(DoctorCredentialsTest, ACertificateIsCountedDown) {
  EXPECT_THAT(After(0), ElementsAre(Named("certificate", Outcome::kOk, "valid for 89 days"),
                                    Named("key", Outcome::kOk, "belongs to the certificate"),
                                    Named("authority", Outcome::kOk, "SHA256:")));
  EXPECT_THAT(After(61), Contains(Named("certificate", Outcome::kWarning, "valid for 28 days")));
  EXPECT_THAT(After(91), Contains(Named("certificate", Outcome::kFailed, "ended on")));
  EXPECT_THAT(After(-1), Contains(Named("certificate", Outcome::kFailed, "not valid before")));
  ExpectAdvice(After(91));
}

TEST_F(DoctorCredentialsTest, AKeyThatOthersMayReadFails) {
  ASSERT_EQ(chmod(config_.tls.key.c_str(), 0640), 0);
  EXPECT_THAT(After(0), Contains(Named("key", Outcome::kFailed, "run: chmod 600")));
}

TEST_F(DoctorCredentialsTest, AKeyOfAnotherCertificateFails) {
  ASSERT_TRUE(security::WriteKeyFile(config_.tls.key, *security::PrivateKey::Generate()).ok());
  EXPECT_THAT(After(0), Contains(Field(&Check::outcome, Outcome::kFailed)));
}

TEST_F(DoctorTest, AServerThatIsNotThereFailsAtTheRightStep) {
  const SystemClock clock;
  unsetenv("https_proxy");
  unsetenv("http_proxy");
  Checks checks = CheckServer(config_, clock);
  EXPECT_THAT(checks, Contains(Named("server name", Outcome::kOk, "127.0.0.1")));
  EXPECT_THAT(checks, Contains(Named("server TCP", Outcome::kFailed, "refused")));
  EXPECT_THAT(checks, Contains(Named("server", Outcome::kSkipped, "not reached")));
  config_.server = "no-such-host.invalid:1";
  checks = CheckServer(config_, clock);
  EXPECT_THAT(checks, Contains(Named("server name", Outcome::kFailed, "no-such-host.invalid")));
  ExpectAdvice(checks);
}

TEST_F(DoctorTest, ClocksMayDifferALittle) {
  const Timestamp server = TimestampFromMicros(1'700'000'000'000'000);
  const auto judge = [&](seconds skew, seconds round_trip = seconds(0)) {
    return JudgeClock(server + skew, server, round_trip);
  };
  EXPECT_THAT(judge(seconds(2)), Is(Outcome::kOk, "2.0 s ahead of"));
  EXPECT_THAT(judge(seconds(-40)), Is(Outcome::kWarning, "40.0 s behind"));
  EXPECT_THAT(judge(seconds(400)), Is(Outcome::kFailed, "400.0 s ahead of"));
  EXPECT_THAT(judge(seconds(40), seconds(30)), Is(Outcome::kOk, "give or take 15.0 s"));
}

// ---- proxy

using Variables = std::map<std::string, std::string>;

ProxyChoice Choose(const Variables& variables,
                   const HostAndPort& server = {"fed.example.org", 8443}) {
  return ChooseProxy(server, [&](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  });
}

TEST(ProxyTest, TheFirstVariableThatIsSetCounts) {
  EXPECT_FALSE(Choose({}).in_use);
  const ProxyChoice plain =
      Choose({{"http_proxy", "http://other:1"}, {"https_proxy", "http://user:secret@proxy:3128/"}});
  EXPECT_TRUE(plain.in_use);
  EXPECT_EQ(plain.variable, "https_proxy");
  EXPECT_EQ(plain.host, "proxy");
  EXPECT_EQ(plain.port, 3128);
  EXPECT_TRUE(plain.has_password);
  EXPECT_EQ(plain.uri, "http://user:secret@proxy:3128");
  EXPECT_EQ(Choose({{"http_proxy", "http://proxy"}}).port, 443);
  EXPECT_FALSE(Choose({{"https_proxy", ""}, {"http_proxy", "http://other:1"}}).in_use);
  EXPECT_EQ(Choose({{"https_proxy", "proxy:3128"}}).uri, "http://proxy:3128");
  EXPECT_EQ(Choose({{"HTTPS_PROXY", "http://proxy:1"}}).host, "proxy");
  EXPECT_FALSE(Choose({{"HTTP_PROXY", "http://proxy:1"}}).in_use);
  EXPECT_THAT(Choose({{"https_proxy", "socks5://proxy:1"}}).trouble, HasSubstr("http://"));
}

TEST(ProxyTest, AllFormsOfExceptionsAreKnown) {
  const auto exempted = [](const std::string& entries, const HostAndPort& server) {
    return Choose({{"https_proxy", "http://p:1"}, {"no_proxy", entries}}, server).exempted_by;
  };
  const HostAndPort fed{"fed.example.org", 8443};
  for (const char* entry : {"*", "example.org", "fed.example.org", ".Example.org", "*.example.org",
                            "EXAMPLE.ORG", "fed.example.org:8443", "example.org:8443", ".org"}) {
    EXPECT_EQ(exempted(std::string("localhost, ") + entry, fed), entry);
    EXPECT_EQ(exempted(std::string("localhost ") + entry + ",other", fed), entry);
  }
  for (const char* entry : {"", "example.com", "ample.org", "fed.example.org:443", "10.0.0.0/8",
                            "other.example.org", "fed", "*.fed.example.org"}) {
    EXPECT_EQ(exempted(entry, fed), "") << entry;
  }
  const HostAndPort four{"10.1.2.3", 8443};
  for (const char* entry :
       {"10.1.2.3", "10.0.0.0/8", "10.1.2.0/23", "0.0.0.0/0", "10.1.2.3:8443"}) {
    EXPECT_EQ(exempted(entry, four), entry);
  }
  for (const char* entry : {"10.1.2.4", "11.0.0.0/8", "10.1.2.3/33", "10.1.2.3/x", "fd00::/8"}) {
    EXPECT_EQ(exempted(entry, four), "") << entry;
  }
  const HostAndPort six{"fd00::1", 8443};
  for (const char* entry : {"fd00::1", "[fd00::1]", "fd00::/8", "[fd00::1]:8443", "fd00:0::1"}) {
    EXPECT_EQ(exempted(entry, six), entry);
  }
  EXPECT_EQ(exempted("fe00::/8", six), "");
  EXPECT_EQ(Choose({{"https_proxy", "http://p:1"}, {"NO_PROXY", "example.org"}}).exempted_by,
            "example.org");
  EXPECT_TRUE(
      Choose(
          {{"https_proxy", "http://p:1"}, {"no_proxy", "example.org"}, {"no_grpc_proxy", "none"}})
          .in_use);
}

// ---- all of it

TEST_F(DoctorTest, AFileThatDoesNotLoadIsSaidProblemByProblem) {
  Write("client.yaml",
        "server: fed:1\nnonsense: 1\njob: {trainer: [/train], cpu: 2}\npolicy: {}\n");
  DoctorOptions options;
  options.config_path = Path("client.yaml");
  Checks checks;
  Examine(
      options, [](const ClientConfig&, const Clock&) { return UnavailableError("not asked"); },
      [&](const Check& check) { checks.push_back(check); }, [](std::string_view) {});
  EXPECT_GE(checks.size(), 3U);
  for (const Check& check : checks) {
    EXPECT_THAT(check, Named("configuration", Outcome::kFailed, "client.yaml:"));
  }
}

}  // namespace
}  // namespace tributary::client
