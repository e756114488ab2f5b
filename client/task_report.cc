#include "client/task_report.h"

#include <algorithm>
#include <chrono>

#include "client/egress_guard.h"
#include "client/policy.h"
#include "client/seconds.h"
#include "client/site_state.h"
#include "core/log.h"
#include "core/text.h"
#include "core/wire_bounds.h"

namespace tributary::client {
namespace {

using scheduler_adapters::JobState;

std::string AttemptsText(std::int64_t attempt) {
  return attempt > 1 ? " after " + std::to_string(attempt) + " jobs" : "";
}

// Why a trainer was told to stop, as far as its job's end tells.
std::string WhyStopped(const FinishedTask& task, const scheduler_adapters::JobStatus& job) {
  if (job.state != JobState::kCompleted) {
    return "; its job ended as " + std::string(JobStateName(job.state)) +
           (job.message.empty() ? "" : " (" + Excerpt(job.message, 200) + ")");
  }
  const std::int64_t walltime = task.record.assignment.walltime_seconds();
  if (walltime == 0 || !job.started || !job.ended) return "";
  constexpr double kClose = 20;  // a last step, and writing
  const double ran = Seconds(*job.started, *job.ended);
  const auto warning = static_cast<double>(task.config.job.warning_before.count());
  if (ran + warning + kClose < static_cast<double>(walltime)) return "";
  return "; its walltime of " + std::to_string(walltime) +
         " s was nearly over (the warning comes " +
         std::to_string(task.config.job.warning_before.count()) + " s before)";
}

// What the site lets out of a job's error file.
std::string EndOf(const std::string& errors, std::int64_t characters) {
  const auto kept = std::min(errors.size(), static_cast<std::size_t>(characters));
  if (kept == 0) return "";
  return "; its error file ends: " + Excerpt(errors.substr(errors.size() - kept), kept);
}

// What leaves, and what takes the place of the site's state once that counts.
Result<SafetensorsWriter::Written> Package(const FinishedTask& task, const TaskResult& result) {
  const TaskWorkspace& workspace = task.workspace;
  const v1::TaskAssignment& assignment = task.record.assignment;
  UpdateRules rules;
  TRIBUTARY_ASSIGN_OR_RETURN(rules.directive, DirectiveOf(assignment));
  rules.trained = OfferedManifest(task.offer);
  if (assignment.site_rank() > 0) {
    rules.trained = TrainedManifest(rules.trained, assignment.site_rank());
  }
  rules.learning_rate_sum = result.learning_rate_sum;
  rules.max_update = task.config.policy->max_update;
  UpdateFiles files{workspace.TrainedPath(), workspace.GlobalPath(),
                    workspace.Start().ServerState("control"), workspace.DeltaPath()};
  TRIBUTARY_ASSIGN_OR_RETURN(
      files.residual,
      ResidualFor(rules.directive, assignment.global_version(), workspace.StatePath()));
  TRIBUTARY_ASSIGN_OR_RETURN(const auto written, WriteUpdateFile(files, rules));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string staged,
                             ReadFile(JoinPath(workspace.directory(), kTaskFile)));
  TRIBUTARY_ASSIGN_OR_RETURN(const TaskFile file, TaskFile::FromJson(staged));
  const TrainedTask trained{assignment.global_version(),
                            workspace.directory() + "/update/" + std::string(kOptimizerFile),
                            file.pruning};
  TRIBUTARY_RETURN_IF_ERROR(MakeNextState(files, rules.directive, trained, workspace.StatePath(),
                                          workspace.NextStatePath()));
  return written;
}

}  // namespace

v1::Statement StatementOf(const TaskRecord& record, const std::string& site) {
  v1::Statement statement;
  statement.set_task(record.assignment.task());
  statement.set_campaign(record.assignment.campaign());
  statement.set_site(site);
  statement.set_global_version(record.assignment.global_version());
  statement.set_kind(record.assignment.kind());
  return statement;
}

Result<v1::Statement> MakeStatement(const FinishedTask& task,
                                    const scheduler_adapters::JobStatus& job) {
  const TaskWorkspace& workspace = task.workspace;
  const PolicySection& policy = *task.config.policy;
  const auto result = workspace.ReadResult();
  if (!result.ok()) {
    LogError("client", "job left no result",
             {{"task", task.record.assignment.task()},
              {"job", task.record.job},
              {"result", result.status()},
              {"stderr", workspace.ErrorTail()}});
    return AbortedError(
        "job " + task.record.job + " ended as " + std::string(JobStateName(job.state)) +
        (job.message.empty() ? "" : " (" + job.message + ")") + " and left no result" +
        AttemptsText(task.record.attempt) + EndOf(workspace.ErrorTail(), policy.error_tail));
  }
  if (result->completion == Completion::kFailed) {
    return AbortedError("the trainer failed: " + result->message);
  }
  v1::Statement statement = StatementOf(task.record, task.site);
  statement.set_outcome(result->completion == Completion::kComplete ? v1::OUTCOME_COMPLETE
                                                                    : v1::OUTCOME_PARTIAL);
  const bool partial = result->completion == Completion::kPartial;
  statement.set_message(partial ? result->message + WhyStopped(task, job) : result->message);
  if (partial) {
    LogWarning("client", "the update is partial",
               {{"task", task.record.assignment.task()},
                {"steps", result->steps},
                {"of", task.record.assignment.training().steps()},
                {"reason", statement.message()}});
  }
  statement.set_samples(result->samples);
  statement.set_tokens(result->tokens);
  statement.set_steps(result->steps);
  statement.set_learning_rate_sum(result->learning_rate_sum);
  statement.set_loss_first(result->loss_first);
  statement.set_loss_last(result->loss_last);
  for (const auto& [name, value] : FilterMetrics(result->metrics, policy)) {
    (*statement.mutable_metrics())[name] = value;
  }
  statement.set_device(Printable(result->device, kMaxDeviceName));
  statement.set_peak_memory_bytes(result->peak_memory_bytes);
  const auto begin = task.clock.Elapsed();
  if (statement.kind() == v1::TASK_KIND_TRAIN) {
    TRIBUTARY_ASSIGN_OR_RETURN(const auto written, Package(task, *result));
    statement.set_digest(written.digest.ToHex());
    statement.set_bytes(written.bytes);
  }
  const Timestamp started = job.started.value_or(task.record.submitted_at);
  const Timestamp ended = job.ended.value_or(started);
  statement.set_queue_seconds(task.record.queue_seconds);
  statement.set_attempts(task.record.attempt);
  statement.set_node_seconds(task.record.node_seconds);
  statement.set_compute_seconds(result->train_seconds);
  statement.set_startup_seconds(std::max(0.0, Seconds(started, ended) - result->train_seconds));
  const std::chrono::duration<double> packaging = task.clock.Elapsed() - begin;
  statement.set_transfer_seconds(task.record.download_seconds + packaging.count());
  return statement;
}

}  // namespace tributary::client
