#include "client/trainer_trial.h"

#include <algorithm>
#include <cmath>
#include <thread>
#include <utility>

#include "client/egress_guard.h"
#include "core/child_process.h"
#include "core/files.h"
#include "core/peft_adapter.h"
#include "core/progress_file.h"
#include "core/safetensors.h"

namespace tributary::client {
namespace {

constexpr std::chrono::milliseconds kPoll{5};

bool HasChange(const SafetensorsFile& file) {
  for (const SafetensorsEntry& entry : file.header().tensors) {
    for (const float value : file.Floats(entry)) {
      if (value != 0) return true;
    }
  }
  return false;
}

std::string Seconds(std::chrono::milliseconds time) {
  return std::to_string(std::chrono::ceil<std::chrono::seconds>(time).count());
}

}  // namespace

std::int64_t LastStep(const std::string& directory) {
  const auto line = LastProgress(directory);
  return line ? line->step : 0;
}

Trial RunTrial(const TrialRun& run) {
  Trial trial;
  trial.directory = run.directory;
  trial.exit_code = -1;
  int signal = run.signal;
  std::vector<std::string> command = run.command;
  for (const std::string& argument : {run.kind, std::string("--task"), run.directory}) {
    command.push_back(argument);
  }
  auto process = ChildProcess::Start(command, run.log);
  if (!process.ok()) {
    trial.result_status = process.status();
    return trial;
  }
  const auto began = std::chrono::steady_clock::now();
  const auto passed = [&](std::chrono::milliseconds time) {
    return std::chrono::steady_clock::now() - began > time;
  };
  std::chrono::milliseconds until = run.limit;
  while (!process->Poll()) {
    if (passed(until) || !run.keep_going()) {
      trial.late = "did not end within " + Seconds(run.limit) + " s (--limit)";
      if (until < run.limit) {
        trial.late = "did not end within " + Seconds(run.end_within) + " s of its signal";
      }
      process->Stop(std::chrono::seconds(5));
      break;
    }
    const bool seen = LastStep(trial.directory) >= kSeenSteps;
    if (signal != 0 && (seen || (run.signal_after.count() > 0 && passed(run.signal_after)))) {
      trial.blind = !seen;
      const auto said = FileSize(JoinPath(trial.directory, kProgressFile));
      trial.silent = !said.ok() || *said == 0;
      process->Signal(std::exchange(signal, 0));
      if (run.end_within.count() > 0) {
        until = std::min(until, std::chrono::duration_cast<std::chrono::milliseconds>(
                                    std::chrono::steady_clock::now() - began) +
                                    run.end_within);
      }
    }
    std::this_thread::sleep_for(kPoll);
  }
  trial.took = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - began);
  trial.exit_code = process->Poll().value_or(-1);
  const auto text = ReadFile(trial.Update(kResultFile));
  const auto result = text.ok() ? TaskResult::FromJson(*text) : Result<TaskResult>(text.status());
  trial.result_status = result.status();
  if (result.ok()) trial.result = *result;
  return trial;
}

void ExpectEnd(const Trial& trial, Completion completion, Findings* findings) {
  findings->Expect(trial.late.empty(), trial.late);
  findings->Expect(trial.result.has_value(),
                   "left no update/result.json that can be read: " + trial.result_status.message());
  if (!trial.result) return;
  findings->Expect(trial.result->completion == completion,
                   "completion is " + std::string(CompletionName(trial.result->completion)) +
                       "; must be " + std::string(CompletionName(completion)) + ". " +
                       trial.result->message);
  const int wanted = completion == Completion::kFailed ? 1 : 0;
  findings->Expect(trial.exit_code == wanted, "exit status " + std::to_string(trial.exit_code) +
                                                  "; must be " + std::to_string(wanted));
}

void ExpectAdapter(const Trial& trial, const std::string& start_path, std::int64_t steps,
                   Findings* findings) {
  if (!findings->ok()) return;
  const TaskResult& result = *trial.result;
  findings->Expect(result.samples == steps * 4, "samples is " + std::to_string(result.samples) +
                                                    " after " + std::to_string(steps) +
                                                    " steps of 4 sequences");
  findings->Expect(result.tokens > 0, "tokens is 0; must count those that carried loss");
  findings->Expect(result.learning_rate_sum > 0,
                   "learning_rate_sum is missing; control variates need it");
  findings->Expect(std::isfinite(result.loss_first) && result.loss_first > 0 &&
                       std::isfinite(result.loss_last) && result.loss_last > 0,
                   "loss_first or loss_last is missing");
  const auto start = SafetensorsFile::Open(start_path);
  const auto trained = SafetensorsFile::Open(trial.Update(kAdapterWeightsFile));
  if (!trained.ok() || !start.ok()) {
    return findings->Expect(false,
                            trained.ok() ? start.status().message() : trained.status().message());
  }
  const Status same = CheckManifest(start->ToManifest(), trained->ToManifest());
  findings->Expect(same.ok(), "update/adapter_model.safetensors: " + same.message());
  const auto global = Sha256OfFile(JoinPath(trial.directory, "global/adapter_model.safetensors"));
  const auto staged = Sha256OfFile(start_path);
  findings->Expect(global.ok() && staged.ok() && *global == *staged, "global/ was changed");
  findings->Expect(PathExists(trial.Update(kAdapterConfigFile)),
                   "update/adapter_config.json is missing");
  if (!findings->ok()) return;
  UpdateRules rules{start->ToManifest(), {}, 0, ByteSize{std::uint64_t{1} << 40}};
  const std::string delta = trial.directory + "/delta";
  const auto written =
      WriteUpdateFile({trial.Update(kAdapterWeightsFile), start_path, "", delta, ""}, rules);
  findings->Expect(written.ok(), written.status().message());
  const auto update = SafetensorsFile::Open(delta);
  findings->Expect(update.ok() && HasChange(*update),
                   "the weights are those of global/: nothing was learnt, or a delta of zero was "
                   "written (they must be trained weights, not a delta)");
}

void ExpectUnchanged(const Trial& trial, const std::string& start_path,
                     const std::function<bool(std::string_view)>& which, Findings* findings) {
  if (!findings->ok()) return;
  const auto start = SafetensorsFile::Open(start_path);
  const auto trained = SafetensorsFile::Open(trial.Update(kAdapterWeightsFile));
  if (!start.ok() || !trained.ok()) return findings->Expect(false, "left no adapter");
  for (const SafetensorsEntry& entry : start->header().tensors) {
    if (!which(entry.spec.name)) continue;
    const SafetensorsEntry* other = trained->Find(entry.spec.name);
    findings->Expect(
        other != nullptr && std::ranges::equal(trained->Bytes(*other), start->Bytes(entry)),
        "tensor " + entry.spec.name + " changed although strategy.frozen keeps it");
  }
}

void ExpectEmptyRanks(const Trial& trial, std::int64_t kept, Findings* findings) {
  if (!findings->ok()) return;
  const auto trained = SafetensorsFile::Open(trial.Update(kAdapterWeightsFile));
  if (!trained.ok()) return findings->Expect(false, "left no adapter");
  for (const SafetensorsEntry& entry : trained->header().tensors) {
    const bool is_a = IsLoraA(entry.spec.name);
    if (!is_a && !IsLoraB(entry.spec.name)) continue;
    const std::int64_t columns = entry.spec.shape[1];
    bool trains = false;
    bool filled = false;
    const auto values = trained->Floats(entry);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto at = static_cast<std::int64_t>(i);
      if (values[i] == 0) continue;
      const bool given_up = (is_a ? at / columns : at % columns) >= kept;
      (given_up ? filled : trains) = true;
    }
    findings->Expect(!filled, "tensor " + entry.spec.name + " is not zero in ranks from " +
                                  std::to_string(kept) + " on, which strategy.pruning gave up");
    findings->Expect(trains, "tensor " + entry.spec.name + " is zero in all ranks");
  }
}

}  // namespace tributary::client
