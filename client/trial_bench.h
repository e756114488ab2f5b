// Where the trials of a trainer are run: stages tasks, runs the trainer on them within bounds, and
// says what came of it.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "client/sample_task.h"
#include "client/trainer_check.h"
#include "client/trainer_trial.h"

namespace tributary::client {

// Borrows options and report. One thread.
class TrialBench {
 public:
  TrialBench(const TrainerCheckOptions& options, SampleMaterial material, std::string directory,
             const std::function<void(const Check&)>& report)
      : options_(options),
        material_(std::move(material)),
        directory_(std::move(directory)),
        report_(report),
        bound_(options.limit) {}

  const SampleMaterial& material() const { return material_; }
  std::string PathOf(const std::string& name) const { return directory_ + "/" + name; }
  std::string LogOf(const std::string& name) const { return PathOf(name) + ".log"; }
  bool GoesOn() const { return options_.keep_going(); }
  TaskFile TrainTask() const { return SampleTask(material_, TaskKind::kTrain); }
  TaskFile EvaluateTask() const;

  // What a trainer needed for its first task bounds what it may need for others like it.
  void SetPace(std::chrono::milliseconds first);

  // `signal` is sent once it has reported a few steps, or after a while when it reports none.
  Trial RunStaged(const std::string& name, const std::string& kind, int signal = 0) const;
  Trial RunTask(const std::string& name, const std::string& task_json, const std::string& kind,
                int signal = 0, const SampleMaterial* material = nullptr) const;
  // A run that may take as long as the options say: of more steps than others.
  Trial RunLong(const std::string& name, const std::string& kind, int signal = 0) const;

  void Report(const Check& check) const { report_(check); }
  void Tell(const std::string& name, const Findings& findings, const std::string& found) const;
  // Tells a refusal, which a trainer may answer to what it cannot do.
  bool Refuses(const std::string& name, const Trial& trial, const std::string& what,
               const std::string& strategies) const;

 private:
  TrialRun MakeRun(const std::string& name, const std::string& kind, int signal) const;

  const TrainerCheckOptions& options_;
  const SampleMaterial material_;
  const std::string directory_;
  const std::function<void(const Check&)>& report_;
  std::chrono::milliseconds bound_, signal_after_{0}, end_within_{0};  // 0: no bound but the limit
};

}  // namespace tributary::client
