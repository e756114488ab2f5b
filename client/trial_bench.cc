#include "client/trial_bench.h"

#include <algorithm>

namespace tributary::client {
namespace {

using std::chrono::milliseconds;

}  // namespace

TaskFile TrialBench::EvaluateTask() const {
  TaskFile task = SampleTask(material_, TaskKind::kEvaluate);
  task.evaluation_batch_size = 3;
  task.evaluation_max_examples = 10;
  return task;
}

// Most of a short task is the trainer's start, which may take longer on a busy machine.
void TrialBench::SetPace(milliseconds first) {
  const milliseconds limit = options_.limit;
  bound_ = std::min<milliseconds>(limit, options_.grace + 10 * first);
  signal_after_ = std::min<milliseconds>(limit, options_.patience + 3 * first);
  end_within_ = std::min<milliseconds>(limit, options_.grace + 2 * first);
}

TrialRun TrialBench::MakeRun(const std::string& name, const std::string& kind, int signal) const {
  TrialRun run;
  run.command = options_.command;
  run.kind = kind;
  run.directory = PathOf(name);
  run.log = LogOf(name);
  run.signal = signal;
  run.limit = bound_;
  run.signal_after = signal_after_;
  run.end_within = end_within_;
  run.keep_going = options_.keep_going;
  return run;
}

Trial TrialBench::RunStaged(const std::string& name, const std::string& kind, int signal) const {
  return RunTrial(MakeRun(name, kind, signal));
}

Trial TrialBench::RunLong(const std::string& name, const std::string& kind, int signal) const {
  TrialRun run = MakeRun(name, kind, signal);
  run.limit = options_.limit;
  return RunTrial(run);
}

Trial TrialBench::RunTask(const std::string& name, const std::string& task_json,
                          const std::string& kind, int signal,
                          const SampleMaterial* material) const {
  const Status staged =
      StageTask(PathOf(name), material != nullptr ? *material : material_, task_json);
  if (staged.ok()) return RunStaged(name, kind, signal);
  Trial trial;
  trial.directory = PathOf(name);
  trial.exit_code = -1;
  trial.result_status = staged;
  return trial;
}

void TrialBench::Tell(const std::string& name, const Findings& findings,
                      const std::string& found) const {
  report_(findings.ToCheck(name, found,
                           options_.directory.empty() ? "--dir DIR keeps the tasks and its output"
                                                      : "its output is in " + LogOf(name)));
}

bool TrialBench::Refuses(const std::string& name, const Trial& trial, const std::string& what,
                         const std::string& strategies) const {
  if (!trial.result || trial.result->completion != Completion::kFailed) return false;
  report_(Warned(name, "refuses " + what + ": " + trial.result->message,
                 "such a site cannot take part in " + strategies));
  return true;
}

}  // namespace tributary::client
