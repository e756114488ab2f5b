#include "client/init.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <memory>

#include "client/client_config.h"
#include "client/site_draft.h"
#include "client/site_search.h"
#include "core/files.h"

namespace tributary::client {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;
using testing::UnorderedElementsAre;

// Sets a variable, and puts it back.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    setenv(name, value.c_str(), 1);
  }
  ~Variable() {
    if (before_.empty()) {
      unsetenv(name_);
    } else {
      setenv(name_, before_.c_str(), 1);
    }
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::string before_;
};

void WriteProgram(const std::string& path, const std::string& text) {
  ASSERT_TRUE(WriteFileAtomic(path, "#!/bin/sh\n" + text, 0700).ok());
}

void MakeModel(const std::string& directory, const std::string& type) {
  ASSERT_TRUE(MakeDirectories(directory).ok());
  ASSERT_TRUE(
      WriteFileAtomic(directory + "/config.json", R"({"model_type": ")" + type + "\"}").ok());
  ASSERT_TRUE(WriteFileAtomic(directory + "/model.safetensors", std::string(1000, 'w')).ok());
}

class InitTest : public testing::Test {
 protected:
  void SetUp() override {
    auto root = TemporaryDirectory::Create("tributary-init-");
    ASSERT_TRUE(root.ok());
    root_ = std::make_unique<TemporaryDirectory>(*std::move(root));
    options_.directory = root_->path() + "/site";
    options_.server = "fed.example.org:8443";
    options_.scheduler = "local";
    options_.trainer = {"/bin/true"};
  }

  // Nobody is asked.
  Result<std::string> Quietly() {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(std::fopen("/dev/null", "w"),
                                                              std::fclose);
    Questions questions(nullptr, out.get());
    return Init(options_, questions);
  }

  // What is printed goes to printed_.
  Result<std::string> Asked(std::string answers) {
    char* text = nullptr;
    std::size_t size = 0;
    Result<std::string> result = InternalError("not run");
    {
      const std::unique_ptr<std::FILE, int (*)(std::FILE*)> in(
          fmemopen(answers.data(), answers.size(), "r"), std::fclose);
      const std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(open_memstream(&text, &size),
                                                                std::fclose);
      Questions questions(in.get(), out.get());
      result = Init(options_, questions);
    }
    printed_.assign(text, size);
    std::free(text);
    return result;
  }

  std::string Path(const std::string& name) const { return root_->path() + "/" + name; }

  std::unique_ptr<TemporaryDirectory> root_;
  InitOptions options_;
  std::string printed_;
};

TEST_F(InitTest, WritesAFileThatLoadsAndAllowsNothingThatWasNotSaid) {
  const auto file = Quietly();
  ASSERT_TRUE(file.ok()) << file.status();
  struct stat info {};
  ASSERT_EQ(stat(file->c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  const auto config = LoadClientConfig(*file);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->server, "fed.example.org:8443");
  EXPECT_EQ(config->scheduler.adapter, "local");
  EXPECT_THAT(config->job.trainer, ElementsAre("/bin/true"));
  EXPECT_EQ(config->workspace, options_.directory + "/work");
  ASSERT_TRUE(config->policy);
  EXPECT_THAT(config->policy->campaigns, IsEmpty());
  EXPECT_THAT(config->policy->leads, IsEmpty());
  EXPECT_THAT(config->policy->models, IsEmpty());
  EXPECT_FALSE(PathExists(*file + ".new"));
}

TEST_F(InitTest, WhatIsGivenIsWritten) {
  MakeModel(Path("base"), "llama");
  ASSERT_TRUE(WriteFileAtomic(Path("notes.jsonl"), "{}\n").ok());
  options_.server = "[::1]:8443";
  options_.server_name = "fed: \"odd\"";
  options_.cpus = 7;
  options_.gpus = 2;
  options_.walltime = "90m";
  options_.node_hours = 12.5;
  options_.models = {"small=" + Path("base")};
  options_.data = {"notes=" + Path("notes.jsonl")};
  options_.campaigns = {"chem-*", "1"};
  options_.leads = {"lead"};
  options_.workspace = "/scratch/we: #1";
  const auto file = Quietly();
  ASSERT_TRUE(file.ok()) << file.status();
  const auto config = LoadClientConfig(*file);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->server, "[::1]:8443");
  EXPECT_EQ(config->server_name, options_.server_name);
  EXPECT_EQ(config->workspace, "/scratch/we: #1");
  EXPECT_EQ(config->job.cpus, 7);
  EXPECT_EQ(config->job.gpus, 2);
  EXPECT_EQ(config->policy->max_walltime, std::chrono::minutes(90));
  EXPECT_EQ(config->allocation.total, 12.5);
  EXPECT_THAT(config->policy->models, ElementsAre(Pair("small", Path("base"))));
  EXPECT_THAT(config->policy->data, ElementsAre(Pair("notes", Path("notes.jsonl"))));
  EXPECT_THAT(config->policy->campaigns, ElementsAre("chem-*", "1"));
  EXPECT_THAT(config->policy->leads, ElementsAre("lead"));
}

TEST_F(InitTest, AFileThatIsThereStaysUnlessItIsToBeReplaced) {
  ASSERT_TRUE(Quietly().ok());
  const std::string path = options_.directory + "/client.yaml";
  const std::string before = *ReadFile(path);
  options_.server = "";
  options_.cpus = 3;
  const auto again = Quietly();
  EXPECT_EQ(again.status().code(), StatusCode::kAlreadyExists);
  EXPECT_THAT(again.status().message(), HasSubstr("--replace"));
  EXPECT_EQ(*ReadFile(path), before);
  options_.replace = true;
  ASSERT_TRUE(Quietly().ok());  // the server is the old file's
  EXPECT_EQ(*ReadFile(path + ".before"), before);
  EXPECT_EQ(LoadClientConfig(path)->server, "fed.example.org:8443");
  EXPECT_EQ(LoadClientConfig(path)->job.cpus, 3);
}

TEST_F(InitTest, WhatWillNotDoIsSaidAndLeavesNothing) {
  const auto refused = [&](const InitOptions& options, const std::string& words) {
    const InitOptions kept = options_;
    options_ = options;
    const auto result = Quietly();
    EXPECT_FALSE(result.ok()) << words;
    EXPECT_THAT(result.status().message(), HasSubstr(words));
    EXPECT_FALSE(PathExists(options_.directory + "/client.yaml")) << words;
    options_ = kept;
  };
  InitOptions options = options_;
  options.server = "";
  refused(options, "--server");
  options.server = "fed.example.org";
  refused(options, "is not host:port");
  options = options_;
  options.scheduler = "lsf";
  refused(options, "there is no adapter");
  options = options_;
  options.walltime = "soon";
  refused(options, "soon");
  options = options_;
  options.workspace = "~/work";
  refused(options, "not expanded");
  options = options_;
  options.models = {"a=" + root_->path()};
  refused(options, "no config.json");
  options.models = {root_->path()};
  refused(options, "NAME=DIRECTORY");
  options = options_;
  options.data = {"a=" + Path("none.jsonl")};
  refused(options, "cannot be read");
  options = options_;
  options.trainer = {"python3"};
  refused(options, "absolute");
}

TEST_F(InitTest, APersonIsAskedOnlyWhatIsNotKnownAndAgainAfterAWrongAnswer) {
  const Variable home("HF_HUB_CACHE", Path("hub"));
  MakeModel(Path("hub/models--Org--Small-LM/snapshots/0123"), "llama");
  ASSERT_TRUE(WriteFileAtomic(Path("notes.jsonl"), "{}\n").ok());
  options_.server = "";
  const auto file = Asked(
      "fed.example.org\nfed.example.org:8443\n"  // wrong, right
      "0\n2\n"                                   // cpus
      "\n\n\n\n"                                 // gpus, walltime, workspace, state
      "1\nsmall\n\n"                             // the first model, under this name; no other
      "notes=" +
      Path("notes.jsonl") +
      "\n\n"
      "first-try\nlead\n\n"
      "\n");  // no fingerprint: enrolled later
  ASSERT_TRUE(file.ok()) << file.status() << printed_;
  EXPECT_THAT(printed_, AllOf(HasSubstr("is not host:port"), HasSubstr("is no number from 1"),
                              HasSubstr("small-lm (llama, 0.0 GB)"), HasSubstr("wrote ")));
  EXPECT_THAT(printed_, Not(HasSubstr("scheduler (")));  // it was given
  const auto config = LoadClientConfig(*file);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->job.cpus, 2);
  EXPECT_THAT(config->policy->models,
              ElementsAre(Pair("small", Path("hub/models--Org--Small-LM/snapshots/0123"))));
  EXPECT_THAT(config->policy->data, ElementsAre(Pair("notes", Path("notes.jsonl"))));
  EXPECT_THAT(config->policy->campaigns, ElementsAre("first-try"));
}

TEST_F(InitTest, AnswersThatEndLeaveNothing) {
  const auto result = Asked("4\n");
  EXPECT_EQ(result.status().code(), StatusCode::kCancelled);
  EXPECT_THAT(result.status().message(), HasSubstr("nothing was written"));
  EXPECT_FALSE(PathExists(options_.directory + "/client.yaml"));
}

TEST_F(InitTest, QueuesAndAccountsAreReadFromSlurm) {
  const std::string bin = Path("bin");
  ASSERT_TRUE(MakeDirectories(bin).ok());
  WriteProgram(bin + "/sbatch", "exit 1\n");
  WriteProgram(
      bin + "/sinfo",
      "echo 'debug*|up|30:00|3|2|(null)'\necho 'gpu|up|2-00:00:00|16|64|gpu:a100:4(S:0)'\n");
  WriteProgram(bin + "/sacctmgr", "echo chem\necho phys\n");
  options_.scheduler = "";
  options_.command_directory = bin;
  const auto file = Quietly();
  ASSERT_TRUE(file.ok()) << file.status();
  auto config = LoadClientConfig(*file);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->scheduler.adapter, "slurm");
  EXPECT_EQ(config->scheduler.command_directory, bin);
  EXPECT_EQ(config->job.queue, "debug");
  EXPECT_EQ(config->job.account, "chem");
  EXPECT_EQ(config->job.cpus, 2);
  EXPECT_EQ(config->policy->max_walltime, std::chrono::minutes(30));
  options_.replace = true;
  options_.queue = "gpu";
  options_.account = "phys";
  options_.directives = {"--constraint=gpu"};
  options_.modules = {"cray-python"};
  ASSERT_TRUE(Quietly().ok());
  config = LoadClientConfig(*file);
  EXPECT_EQ(config->job.queue, "gpu");
  EXPECT_EQ(config->job.gpus, 4);
  EXPECT_EQ(config->job.cpus, 64);
  EXPECT_EQ(config->policy->max_walltime, std::chrono::hours(1));
  EXPECT_THAT(config->job.directives, ElementsAre("--constraint=gpu"));
  options_.queue = "gpus";
  EXPECT_THAT(Quietly().status().message(), HasSubstr("there are debug, gpu"));
  options_.queue = "debug";
  options_.walltime = "1h";
  EXPECT_THAT(Quietly().status().message(), HasSubstr("more than the queue's 30m"));
  options_.walltime = "";
  options_.account = "geo";
  EXPECT_THAT(Quietly().status().message(), HasSubstr("there are chem, phys"));
}

TEST_F(InitTest, ASchedulerThatDoesNotAnswerIsNoReasonToWriteNothing) {
  const std::string bin = Path("bin");
  ASSERT_TRUE(MakeDirectories(bin).ok());
  WriteProgram(bin + "/qsub", "exit 1\n");
  WriteProgram(bin + "/qstat", "echo 'cannot connect to server' >&2\nexit 1\n");
  options_.scheduler = "";
  options_.command_directory = bin;
  const auto file = Quietly();
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(LoadClientConfig(*file)->scheduler.adapter, "pbs");
}

TEST_F(InitTest, ModelsAreFoundInTheHubsCacheAndInPlainDirectories) {
  MakeModel(Path("hub/models--Org--Small-LM/snapshots/old"), "llama");
  MakeModel(Path("hub/models--Org--Small-LM/snapshots/used"), "llama");
  ASSERT_TRUE(MakeDirectories(Path("hub/models--Org--Small-LM/refs")).ok());
  ASSERT_TRUE(WriteFileAtomic(Path("hub/models--Org--Small-LM/refs/main"), "used").ok());
  MakeModel(Path("models/small-lm"), "gpt2");
  ASSERT_TRUE(MakeDirectories(Path("models/empty")).ok());
  const auto models = FindModels({Path("hub"), Path("models"), Path("nowhere")});
  ASSERT_EQ(models.size(), 2U);
  EXPECT_EQ(models[0].name, "small-lm");
  EXPECT_EQ(models[0].directory, Path("hub/models--Org--Small-LM/snapshots/used"));
  EXPECT_EQ(models[0].bytes, 1000U);
  EXPECT_EQ(models[1].name, "small-lm-2");
  EXPECT_EQ(models[1].type, "gpt2");
}

}  // namespace
}  // namespace tributary::client
