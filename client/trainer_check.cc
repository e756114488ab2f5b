#include "client/trainer_check.h"

#include <csignal>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "client/sample_task.h"
#include "client/trainer_trial.h"
#include "core/files.h"
#include "core/json.h"
#include "core/safetensors.h"

namespace tributary::client {
namespace {

using nlohmann::json;

constexpr std::int64_t kEndless = 1'000'000;  // steps that no trial waits for
constexpr std::int64_t kResumedSteps = 300;
constexpr std::size_t kTail = 400;  // of a log, in a message

class Conformance {
 public:
  Conformance(const TrainerCheckOptions& options, SampleMaterial material, std::string directory,
              const std::function<void(const Check&)>& report)
      : options_(options),
        material_(std::move(material)),
        directory_(std::move(directory)),
        report_(report) {}

  void Run() {
    const Trial first = Complete();
    if (!first.result || first.result->completion != Completion::kComplete) {
      return report_(
          Skipped("other trials", "a trainer that trains nothing need not be tried further"));
    }
    using Step = void (Conformance::*)(const Trial&);
    for (const Step step :
         {&Conformance::Repeat, &Conformance::EqualTasks, &Conformance::StopsOnTerm,
          &Conformance::StopsOnWarning, &Conformance::Resume, &Conformance::BadData,
          &Conformance::NoModel, &Conformance::UnknownKey, &Conformance::FrozenFactor,
          &Conformance::Middle, &Conformance::Pruning, &Conformance::Evaluate,
          &Conformance::Merged}) {
      if (!options_.keep_going()) {
        return report_(Failed("check-trainer", "interrupted", "run it again"));
      }
      (this->*step)(first);
    }
  }

 private:
  std::string DirectoryOf(const std::string& name) const { return JoinPath(directory_, name); }
  std::string LogOf(const std::string& name) const { return DirectoryOf(name) + ".log"; }
  TaskFile TrainTask() const { return SampleTask(material_, TaskKind::kTrain); }

  void Tell(const std::string& name, const Findings& findings, const std::string& found) {
    report_(findings.ToCheck(name, found,
                             options_.directory.empty() ? "--dir DIR keeps the tasks and its output"
                                                        : "its output is in " + LogOf(name)));
  }

  // On a staged directory; with a signal once it has reported a few steps.
  Trial RunStaged(const std::string& name, const std::string& kind, int signal = 0) {
    return RunTrial({options_.command, kind, DirectoryOf(name), LogOf(name), signal, options_.limit,
                     options_.keep_going});
  }

  Trial RunTask(const std::string& name, const std::string& task_json, const std::string& kind,
                int signal = 0, const SampleMaterial* material = nullptr) {
    const Status staged =
        StageTask(DirectoryOf(name), material != nullptr ? *material : material_, task_json);
    if (!staged.ok()) return {DirectoryOf(name), -1, true, std::nullopt, staged};
    return RunStaged(name, kind, signal);
  }

  void ExpectEnd(const Trial& trial, Completion completion, Findings* findings) const {
    client::ExpectEnd(trial, completion, options_.limit, findings);
  }

  Trial Complete() {
    const Trial trial = RunTask("train", TrainTask().ToJson(), "train");
    Findings findings;
    ExpectEnd(trial, Completion::kComplete, &findings);
    const std::int64_t steps = TrainTask().training.steps;
    if (trial.result) {
      findings.Expect(trial.result->steps == steps,
                      "steps is " + std::to_string(trial.result->steps) + "; the task asked for " +
                          std::to_string(steps));
      ExpectAdapter(trial, material_.weights, steps, &findings);
      findings.Expect(LastStep(trial.directory) == steps,
                      "the last line of progress.jsonl is of step " +
                          std::to_string(LastStep(trial.directory)) + "; must be of step " +
                          std::to_string(steps));
    }
    std::string found = "complete";
    if (trial.result) {
      found += ", loss " + std::to_string(trial.result->loss_first) + " to " +
               std::to_string(trial.result->loss_last);
    } else if (const auto tail = ReadFileTail(LogOf("train"), kTail); tail.ok()) {
      findings.Expect(false, "it says: " + *tail);
    }
    Tell("train", findings, found);
    return trial;
  }

  // A job that is started again after its task was done.
  void Repeat(const Trial& first) {
    const auto before = Sha256OfFile(first.Update(kAdapterWeightsFile));
    const Trial again = RunStaged("train", "train");
    const auto after = Sha256OfFile(first.Update(kAdapterWeightsFile));
    Findings findings;
    findings.Expect(again.exit_code == 0, "exit status " + std::to_string(again.exit_code) +
                                              " where update/ is there already; must be 0");
    findings.Expect(before.ok() && after.ok() && *before == *after,
                    "update/ was changed where it was there already");
    Tell("repeat", findings, "leaves a finished task alone");
  }

  void EqualTasks(const Trial& first) {
    const Trial twin = RunTask("equal-tasks", TrainTask().ToJson(), "train");
    const auto one = Sha256OfFile(first.Update(kAdapterWeightsFile));
    const auto other = Sha256OfFile(twin.Update(kAdapterWeightsFile));
    if (one.ok() && other.ok() && *one == *other) {
      return report_(Passed("equal-tasks", "equal tasks give equal bits"));
    }
    report_(Warned("equal-tasks", "equal tasks give different bits",
                   "draw everything from task.json's seed if results are to be repeatable"));
  }

  void Stop(const std::string& name, int signal) {
    TaskFile task = TrainTask();
    task.training.steps = kEndless;
    const Trial trial = RunTask(name, task.ToJson(), "train", signal);
    Findings findings;
    findings.Expect(trial.in_time || LastStep(trial.directory) >= kSeenSteps,
                    "progress.jsonl reports no steps while it trains");
    ExpectEnd(trial, Completion::kPartial, &findings);
    if (trial.result) {
      findings.Expect(
          trial.result->steps >= 1 && trial.result->steps < kEndless,
          "steps is " + std::to_string(trial.result->steps) + "; must be those really done");
      ExpectAdapter(trial, material_.weights, trial.result->steps, &findings);
    }
    Tell(name, findings,
         trial.result ? "partial after " + std::to_string(trial.result->steps) + " steps" : "");
  }
  void StopsOnTerm(const Trial&) { Stop("SIGTERM", SIGTERM); }
  void StopsOnWarning(const Trial&) { Stop("SIGUSR1", SIGUSR1); }

  // The node dies; the scheduler starts the job again.
  void Resume(const Trial&) {
    TaskFile task = TrainTask();
    task.training.steps = kResumedSteps;
    const Trial killed = RunTask("resume", task.ToJson(), "train", SIGKILL);
    Findings findings;
    if (killed.exit_code == 0) {
      return report_(Skipped("resume", "it was done before it could be killed"));
    }
    findings.Expect(!PathExists(JoinPath(killed.directory, kUpdateDirectory)),
                    "update/ was there before it was whole");
    const std::int64_t reached = LastStep(killed.directory);
    const Trial trial = RunStaged("resume", "train");
    ExpectEnd(trial, Completion::kComplete, &findings);
    if (trial.result) {
      findings.Expect(trial.result->steps == kResumedSteps,
                      "steps is " + std::to_string(trial.result->steps) + "; the task asked for " +
                          std::to_string(kResumedSteps));
      ExpectAdapter(trial, material_.weights, kResumedSteps, &findings);
    }
    Tell("resume", findings, "complete after it was killed at step " + std::to_string(reached));
  }

  // It fails, says why, and leaves no adapter.
  Trial Refusal(const std::string& name, const std::string& task_json, const std::string& kind,
                const std::string& what) {
    const Trial trial = RunTask(name, task_json, kind);
    Findings findings;
    ExpectEnd(trial, Completion::kFailed, &findings);
    findings.Expect(!PathExists(trial.Update(kAdapterWeightsFile)),
                    "a failed task has an adapter in update/");
    if (trial.result) {
      findings.Expect(!trial.result->message.empty(), "message is empty; must say why it failed");
    }
    Tell(name, findings, what + (trial.result ? ": " + trial.result->message : ""));
    return trial;
  }

  void BadData(const Trial&) {
    const std::string path = JoinPath(directory_, "bad.jsonl");
    const Status written =
        WriteFileAtomic(path, "{\"text\": \"good\"}\n{\"text\": \"good\"}\n{\"text\": \n", 0644);
    if (!written.ok()) return report_(Failed("bad-data", written.message(), "free some space"));
    TaskFile task = TrainTask();
    task.data = {{"bad", path}};
    const Trial trial = Refusal("bad-data", task.ToJson(), "train", "refused");
    if (trial.result && trial.result->message.find('3') == std::string::npos) {
      report_(Warned("bad-data", "the message does not name line 3",
                     "name file and line: whoever reads it cannot see the site's data"));
    }
  }

  void NoModel(const Trial&) {
    TaskFile task = TrainTask();
    task.model_path = JoinPath(directory_, "no-such-model");
    Refusal("no-model", task.ToJson(), "train", "refused");
  }

  // What it does not know may be what the strategy stands on.
  void UnknownKey(const Trial&) {
    auto task = ParseJson(TrainTask().ToJson(), "task");
    (*task)["strategy"]["invented"] = 1;
    Refusal("unknown-key", task->dump(), "train", "refused");
  }

  // Tells a refusal, which a trainer may answer to what it cannot do.
  bool Refuses(const std::string& name, const Trial& trial, const std::string& what,
               const std::string& strategies) {
    if (!trial.result || trial.result->completion != Completion::kFailed) return false;
    report_(Warned(name, "refuses " + what + ": " + trial.result->message,
                   "such a site cannot take part in " + strategies));
    return true;
  }

  void FrozenFactor(const Trial&) {
    TaskFile task = TrainTask();
    task.frozen = FrozenFactor::kA;
    const Trial trial = RunTask("frozen", task.ToJson(), "train");
    if (Refuses("frozen", trial, "strategy.frozen", "ffa-lora, rolora, fedsvd")) return;
    Findings findings;
    ExpectEnd(trial, Completion::kComplete, &findings);
    ExpectUnchanged(trial, material_.weights, IsLoraA, &findings);
    Tell("frozen", findings, "leaves the factor alone");
  }

  // Only the matrices between the factors are trained.
  void Middle(const Trial&) {
    AdapterConfig adapter = material_.adapter;
    adapter.middle = true;
    const auto material =
        MakeMaterial(DirectoryOf("middle-material"), material_.model, material_.data, adapter);
    if (!material.ok()) {
      return report_(Failed("middle", material.status().message(), "free some space"));
    }
    TaskFile task = TrainTask();
    task.frozen = FrozenFactor::kBoth;
    const Trial trial = RunTask("middle", task.ToJson(), "train", 0, &*material);
    if (Refuses("middle", trial, "middle matrices", "fed-sb")) return;
    Findings findings;
    ExpectEnd(trial, Completion::kComplete, &findings);
    ExpectAdapter(trial, material->weights, TrainTask().training.steps, &findings);
    ExpectUnchanged(
        trial, material->weights, [](std::string_view name) { return !IsLoraC(name); }, &findings);
    Tell("middle", findings, "trains the matrices between the factors");
  }

  // Half of the ranks are given up, one more is on the way.
  void Pruning(const Trial&) {
    const std::int64_t kept = std::max<std::int64_t>(1, material_.adapter.rank / 2);
    TaskFile task = TrainTask();
    task.pruning = PrunedRanks{0.1, std::max<std::int64_t>(1, kept - 1), kept};
    const Trial trial = RunTask("pruning", task.ToJson(), "train");
    if (Refuses("pruning", trial, "strategy.pruning", "hetlora with a rank_penalty")) return;
    Findings findings;
    ExpectEnd(trial, Completion::kComplete, &findings);
    ExpectAdapter(trial, material_.weights, TrainTask().training.steps, &findings);
    ExpectEmptyRanks(trial, kept, &findings);
    Tell("pruning", findings, "leaves ranks that the site gave up empty");
  }

  TaskFile EvaluateTask() const {
    TaskFile task = SampleTask(material_, TaskKind::kEvaluate);
    task.evaluation_batch_size = 3;
    task.evaluation_max_examples = 10;
    return task;
  }

  void Evaluate(const Trial&) {
    const Trial trial = RunTask("evaluate", EvaluateTask().ToJson(), "evaluate");
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
        loss_ = loss->second;
        found = "loss " + std::to_string(loss_);
      }
    }
    Tell("evaluate", findings, found);
  }

  // The product that a strategy merged changes what the model says.
  void Merged(const Trial&) {
    const auto start = SafetensorsFile::Open(material_.weights);
    std::vector<HostTensor> factors;
    for (const TensorSpec& spec : start.ok() ? start->ToManifest() : Manifest()) {
      const bool a = IsLoraA(spec.name);
      if (!a && !IsLoraB(spec.name)) continue;
      const std::string module = spec.name.substr(0, spec.name.rfind(".lora_"));
      HostTensor tensor{
          {module + std::string(a ? kMergedSuffixA : kMergedSuffixB), DType::kF32, spec.shape},
          std::vector<std::byte>(spec.ByteCount())};
      auto* values = reinterpret_cast<float*>(tensor.bytes.data());
      for (std::size_t i = 0; i < spec.ElementCount(); ++i) values[i] = i % 3 == 0 ? 0.3F : -0.1F;
      factors.push_back(std::move(tensor));
    }
    TaskFile task = EvaluateTask();
    task.merged = {JoinPath(directory_, "merged.safetensors")};
    if (!WriteSafetensors(task.merged[0], factors).ok()) {
      return report_(Failed("merged", "no product could be written", "free some space"));
    }
    const Trial trial = RunTask("merged", task.ToJson(), "evaluate");
    if (Refuses("merged", trial, "merged products", "flora, fedex-lora")) return;
    Findings findings;
    ExpectEnd(trial, Completion::kComplete, &findings);
    if (trial.result) {
      const auto it = trial.result->metrics.find("loss/sample");
      findings.Expect(it != trial.result->metrics.end() && it->second != loss_,
                      "the loss is the same with and without a product: it was ignored");
    }
    Tell("merged", findings, "adds the products to the base weights");
  }

  const TrainerCheckOptions& options_;
  const SampleMaterial material_;
  const std::string directory_;
  const std::function<void(const Check&)>& report_;
  double loss_ = 0;
};

Status CheckIn(const std::string& directory, const TrainerCheckOptions& options,
               const std::function<void(const Check&)>& report) {
  AdapterConfig adapter;
  adapter.rank = 4;
  adapter.alpha = 8;
  adapter.target_modules = options.target_modules;
  TRIBUTARY_ASSIGN_OR_RETURN(SampleMaterial material,
                             MakeMaterial(directory, options.model, options.data, adapter));
  Conformance(options, std::move(material), directory, report).Run();
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
