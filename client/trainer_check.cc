#include "client/trainer_check.h"

#include <csignal>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "client/sample_task.h"
#include "client/strategy_trials.h"
#include "client/trainer_trial.h"
#include "client/trial_bench.h"
#include "core/files.h"
#include "core/json.h"

namespace tributary::client {
namespace {

using nlohmann::json;

constexpr std::int64_t kEndless = 1'000'000;  // steps that no trial waits for
constexpr std::int64_t kResumedSteps = 300;
constexpr std::size_t kTail = 400;  // of a log, in a message

class Conformance {
 public:
  explicit Conformance(TrialBench* bench) : bench_(*bench) {}

  void Run() {
    const Trial first = Complete();
    if (!first.result || first.result->completion != Completion::kComplete) {
      return bench_.Report(
          Skipped("other trials", "a trainer that trains nothing need not be tried further"));
    }
    bench_.SetPace(first.took);
    using Step = void (Conformance::*)(const Trial&);
    for (const Step step :
         {&Conformance::Repeat, &Conformance::AfterAFailure, &Conformance::EqualTasks,
          &Conformance::StopsOnTerm, &Conformance::StopsOnWarning, &Conformance::Resume,
          &Conformance::BadData, &Conformance::NoModel, &Conformance::UnknownKey,
          &Conformance::Strategy, &Conformance::Evaluate}) {
      if (GoesOn()) (this->*step)(first);
    }
    if (!GoesOn()) bench_.Report(Failed("check-trainer", "interrupted", "run it again"));
  }

 private:
  bool GoesOn() const { return bench_.GoesOn(); }
  const std::string& Weights() const { return bench_.material().weights; }

  Trial Complete() {
    const Trial trial = bench_.RunTask("train", bench_.TrainTask().ToJson(), "train");
    Findings findings;
    ExpectEnd(trial, Completion::kComplete, &findings);
    const std::int64_t steps = bench_.TrainTask().training.steps;
    if (trial.result) {
      findings.Expect(trial.result->steps == steps,
                      "steps is " + std::to_string(trial.result->steps) + "; the task asked for " +
                          std::to_string(steps));
      ExpectAdapter(trial, Weights(), steps, &findings);
      findings.Expect(LastStep(trial.directory) == steps,
                      "the last line of progress.jsonl is of step " +
                          std::to_string(LastStep(trial.directory)) + "; must be of step " +
                          std::to_string(steps));
    }
    std::string found = "complete";
    if (trial.result) {
      found += ", loss " + std::to_string(trial.result->loss_first) + " to " +
               std::to_string(trial.result->loss_last);
    } else if (const auto tail = ReadFileTail(bench_.LogOf("train"), kTail); tail.ok()) {
      findings.Expect(false, "it says: " + *tail);
    }
    bench_.Tell("train", findings, found);
    return trial;
  }

  // A job that is started again after its task was done.
  void Repeat(const Trial& first) {
    const auto before = Sha256OfFile(first.Update(kAdapterWeightsFile));
    const Trial again = bench_.RunStaged("train", "train");
    const auto after = Sha256OfFile(first.Update(kAdapterWeightsFile));
    Findings findings;
    findings.Expect(again.exit_code == 0, "exit status " + std::to_string(again.exit_code) +
                                              " where update/ is there already; must be 0");
    findings.Expect(before.ok() && after.ok() && *before == *after,
                    "update/ was changed where it was there already");
    bench_.Tell("repeat", findings, "leaves a finished task alone");
  }

  // A job that was told to stop before its first step, and was put back into its queue.
  void AfterAFailure(const Trial&) {
    const std::string name = "after-a-failure";
    Status staged = StageTask(bench_.PathOf(name), bench_.material(), bench_.TrainTask().ToJson());
    const std::string update = JoinPath(bench_.PathOf(name), kUpdateDirectory);
    if (staged.ok()) staged = MakeDirectories(update);
    TaskResult failure;
    failure.completion = Completion::kFailed;
    failure.message = "stopped by a signal before the first step";
    if (staged.ok()) staged = WriteFileAtomic(JoinPath(update, kResultFile), failure.ToJson());
    if (!staged.ok()) return bench_.Report(Failed(name, staged.message(), "free some space"));
    const Trial trial = bench_.RunStaged(name, "train");
    if (trial.result && trial.result->completion == Completion::kComplete) {
      return bench_.Report(Passed(name, "trains where an earlier run left a failure"));
    }
    bench_.Report(
        Warned(name, "a failure of an earlier run is taken for the result of this one",
               "remove an update/ whose result.json says failed, and train: such a job was "
               "put back into its queue"));
  }

  void EqualTasks(const Trial& first) {
    const Trial twin = bench_.RunTask("equal-tasks", bench_.TrainTask().ToJson(), "train");
    const auto one = Sha256OfFile(first.Update(kAdapterWeightsFile));
    const auto other = Sha256OfFile(twin.Update(kAdapterWeightsFile));
    if (one.ok() && other.ok() && *one == *other) {
      return bench_.Report(Passed("equal-tasks", "equal tasks give equal bits"));
    }
    bench_.Report(Warned("equal-tasks", "equal tasks give different bits",
                         "draw everything from task.json's seed if results are to be repeatable"));
  }

  void Stop(const std::string& name, int signal) {
    TaskFile task = bench_.TrainTask();
    task.training.steps = kEndless;
    const Trial trial = bench_.RunTask(name, task.ToJson(), "train", signal);
    Findings findings;
    findings.Expect(
        !trial.silent,
        "progress.jsonl says nothing while it trains: job.stall_timeout ends such jobs");
    ExpectEnd(trial, Completion::kPartial, &findings);
    if (trial.result) {
      findings.Expect(
          trial.result->steps >= 1 && trial.result->steps < kEndless,
          "steps is " + std::to_string(trial.result->steps) + "; must be those really done");
      ExpectAdapter(trial, Weights(), trial.result->steps, &findings);
    }
    if (findings.ok() && trial.blind) {
      return bench_.Report(Warned(name,
                                  "partial after " + std::to_string(trial.result->steps) +
                                      " steps; progress.jsonl reported none of them",
                                  "report steps while it trains, for people who watch and for "
                                  "job.stall_timeout"));
    }
    bench_.Tell(
        name, findings,
        trial.result ? "partial after " + std::to_string(trial.result->steps) + " steps" : "");
  }
  void StopsOnTerm(const Trial&) { Stop("SIGTERM", SIGTERM); }
  void StopsOnWarning(const Trial&) { Stop("SIGUSR1", SIGUSR1); }

  // Also when it was killed between its update and its end.
  bool IsDone(const Trial& killed, std::int64_t steps) {
    if (killed.exit_code == 0) return true;
    Findings findings;
    findings.Expect(killed.result && killed.result->completion == Completion::kComplete &&
                        killed.result->steps == steps,
                    "no whole result");
    ExpectAdapter(killed, Weights(), steps, &findings);
    return findings.ok();
  }

  // The node dies; the scheduler starts the job again.
  void Resume(const Trial&) {
    TaskFile task = bench_.TrainTask();
    task.training.steps = kResumedSteps;
    const Status staged = StageTask(bench_.PathOf("resume"), bench_.material(), task.ToJson());
    if (!staged.ok()) return bench_.Report(Failed("resume", staged.message(), "free some space"));
    const Trial killed = bench_.RunLong("resume", "train", SIGKILL);
    Findings findings;
    if (IsDone(killed, kResumedSteps)) {
      return bench_.Report(Skipped("resume", "it was done before it could be killed"));
    }
    findings.Expect(!PathExists(JoinPath(killed.directory, kUpdateDirectory)),
                    "update/ was there before it was whole");
    const std::int64_t reached = LastStep(killed.directory);
    const Trial trial = bench_.RunLong("resume", "train");
    ExpectEnd(trial, Completion::kComplete, &findings);
    if (trial.result) {
      findings.Expect(trial.result->steps == kResumedSteps,
                      "steps is " + std::to_string(trial.result->steps) + "; the task asked for " +
                          std::to_string(kResumedSteps));
      ExpectAdapter(trial, Weights(), kResumedSteps, &findings);
    }
    bench_.Tell("resume", findings,
                "complete after it was killed at step " + std::to_string(reached));
  }

  // It fails, says why, and leaves no adapter.
  Trial Refusal(const std::string& name, const std::string& task_json, const std::string& kind,
                const std::string& what) {
    const Trial trial = bench_.RunTask(name, task_json, kind);
    Findings findings;
    ExpectEnd(trial, Completion::kFailed, &findings);
    findings.Expect(!PathExists(trial.Update(kAdapterWeightsFile)),
                    "a failed task has an adapter in update/");
    if (trial.result) {
      findings.Expect(!trial.result->message.empty(), "message is empty; must say why it failed");
    }
    bench_.Tell(name, findings, what + (trial.result ? ": " + trial.result->message : ""));
    return trial;
  }

  void BadData(const Trial&) {
    const std::string path = bench_.PathOf("bad.jsonl");
    const Status written =
        WriteFileAtomic(path, "{\"text\": \"good\"}\n{\"text\": \"good\"}\n{\"text\": \n", 0644);
    if (!written.ok())
      return bench_.Report(Failed("bad-data", written.message(), "free some space"));
    TaskFile task = bench_.TrainTask();
    task.data = {{"bad", path}};
    const Trial trial = Refusal("bad-data", task.ToJson(), "train", "refused");
    if (trial.result && trial.result->message.find('3') == std::string::npos) {
      bench_.Report(Warned("bad-data", "the message does not name line 3",
                           "name file and line: whoever reads it cannot see the site's data"));
    }
  }

  void NoModel(const Trial&) {
    TaskFile task = bench_.TrainTask();
    task.model_path = bench_.PathOf("no-such-model");
    Refusal("no-model", task.ToJson(), "train", "refused");
  }

  // What it does not know may be what the strategy stands on.
  void UnknownKey(const Trial&) {
    auto task = ParseJson(bench_.TrainTask().ToJson(), "task");
    (*task)["strategy"]["invented"] = 1;
    Refusal("unknown-key", task->dump(), "train", "refused");
  }

  void Evaluate(const Trial& first) {
    const Trial trial = bench_.RunTask("evaluate", bench_.EvaluateTask().ToJson(), "evaluate");
    Findings findings;
    ExpectEnd(trial, Completion::kComplete, &findings);
    std::string found;
    if (trial.result) {
      const auto& metrics = trial.result->metrics;
      const auto loss = metrics.find("loss/sample");
      const auto perplexity = metrics.find("perplexity/sample");
      findings.Expect(loss != metrics.end(), "metric loss/sample is missing");
      findings.Expect(perplexity != metrics.end(), "metric perplexity/sample is missing");
      findings.Expect(
          trial.result->samples == 10,
          "samples is " + std::to_string(trial.result->samples) + "; max_examples asked for 10");
      findings.Expect(!PathExists(trial.Update(kAdapterWeightsFile)),
                      "an evaluation has an adapter in update/");
      if (findings.ok()) {
        findings.Expect(std::abs(std::log(perplexity->second) - loss->second) < 1e-3,
                        "perplexity is not the exponential of the loss");
        found = "loss " + std::to_string(loss->second);
      }
    }
    bench_.Tell("evaluate", findings, found);
    if (GoesOn()) RunMergedTrial(bench_, trial, first);
  }

  void Strategy(const Trial&) { RunStrategyTrials(bench_); }

  TrialBench& bench_;
};

Status CheckIn(const std::string& directory, const TrainerCheckOptions& options,
               const std::function<void(const Check&)>& report) {
  AdapterConfig adapter;
  adapter.rank = 4;
  adapter.alpha = 8;
  adapter.target_modules = options.target_modules;
  TRIBUTARY_ASSIGN_OR_RETURN(SampleMaterial material,
                             MakeMaterial(directory, options.model, options.data, adapter));
  TrialBench bench(options, std::move(material), directory, report);
  Conformance(&bench).Run();
  return OkStatus();
}

}  // namespace

Status CheckTrainerContract(const TrainerCheckOptions& options,
                            const std::function<void(const Check&)>& report) {
  if (options.directory.empty()) {
    TRIBUTARY_ASSIGN_OR_RETURN(const TemporaryDirectory temporary,
                               TemporaryDirectory::Create("tributary-trainer-"));
    return CheckIn(temporary.path(), options, report);
  }
  if (PathExists(options.directory)) {
    return AlreadyExistsError(options.directory + " is there; remove it or name another directory");
  }
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(options.directory));
  return CheckIn(std::filesystem::absolute(options.directory), options, report);
}

}  // namespace tributary::client
