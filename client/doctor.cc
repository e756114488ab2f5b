#include "client/doctor.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>

#include "client/doctor_files.h"
#include "client/doctor_policy.h"
#include "client/doctor_scheduler.h"
#include "client/doctor_server.h"
#include "client/doctor_trainer.h"
#include "client/job_rendering.h"
#include "core/files.h"
#include "core/text.h"

namespace tributary::client {
namespace {

using nlohmann::json;

// As printed: a failure is to be seen among many lines.
constexpr std::array<const char*, 4> kOutcomeWords = {"ok", "warning", "FAILED", "skipped"};
// As `outcome` in JSON.
constexpr std::array<const char*, 4> kOutcomeNames = {"ok", "warning", "failed", "skipped"};

// One check for each problem of the file.
Checks ConfigurationProblems(const Status& status) {
  Checks checks;
  std::istringstream stream(status.message());
  for (std::string line; std::getline(stream, line);) {
    checks.push_back(
        Failed("configuration", line, "correct the file; configs/client.yaml explains every key"));
  }
  return checks;
}

// The job of a task can be rendered at all.
Check CheckJob(const ClientConfig& config) {
  const Status status = scheduler_adapters::CheckJobSpec(SampleJob(config, "train"));
  if (!status.ok()) return Failed("configuration", status.message(), "correct the job section");
  return Passed("configuration", "loads; jobs go to " + config.scheduler.adapter);
}

class Examination {
 public:
  Examination(const DoctorOptions& options, const OpenScheduler& open,
              const std::function<void(const Check&)>& report, const Progress& progress)
      : options_(options), open_(open), report_(report), progress_(progress) {}

  void Run() {
    const auto config = LoadClientConfig(options_.config_path);
    if (!config.ok()) return Tell(ConfigurationProblems(config.status()));
    const Check job = CheckJob(*config);
    Tell({job});
    Tell(CheckPolicy(*config));
    Tell({CheckStateDirectory(*config)});
    Tell(CheckWorkspace(*config));
    const Inspections said = AskTrainerOfAll(*config, options_.command_limit);
    Tell(CheckModels(*config, said));
    Tell(CheckData(*config, said));
    Tell(CheckCredentials(*config, clock_.Now()));
    if (GoesOn()) Tell(CheckServer(*config, clock_));
    if (job.outcome == Outcome::kFailed) return;  // the rest would run what cannot be a job
    if (GoesOn()) Tell(CheckTrainer(*config, options_.command_limit));
    if (GoesOn()) Tell(CheckPythonPackages(*config, options_.command_limit));
    if (GoesOn()) LookAtScheduler(*config);
    if (!GoesOn()) Tell({Failed("doctor", "interrupted", "run it again")});
  }

 private:
  bool GoesOn() const { return options_.keep_going(); }
  void Tell(const Checks& checks) {
    for (const Check& check : checks) report_(check);
  }

  // Where the scheduler's commands run on another machine, scripts must be seen there too.
  static std::string ParentOfRecords(const ClientConfig& config) {
    return config.scheduler.command_prefix.empty() ? "" : ExistingPart(config.workspace);
  }

  void LookAtScheduler(ClientConfig config) {
    const std::string parent = ParentOfRecords(config);
    const auto records = parent.empty()
                             ? TemporaryDirectory::Create("tributary-doctor-")
                             : TemporaryDirectory::CreateIn(parent, ".tributary-doctor-");
    if (!records.ok()) {
      return Tell({Failed("scheduler", records.status().message(), "make the directory writable")});
    }
    config.scheduler.state_directory = records->path();
    const auto adapter = open_(config, clock_);
    if (!adapter.ok()) {
      return Tell(
          {Failed("scheduler", adapter.status().message(), "correct the scheduler section")});
    }
    const Checks checks = CheckScheduler(config, **adapter);
    Tell(checks);
    LookByJob(config, **adapter, std::any_of(checks.begin(), checks.end(), [](const Check& check) {
                return check.outcome == Outcome::kFailed;
              }));
  }

  void LookByJob(const ClientConfig& config, scheduler_adapters::SchedulerAdapter& adapter,
                 bool trouble) {
    const bool wanted = options_.job || options_.gpu;
    if (!wanted) return Tell({Skipped("job", "not asked for; --job runs a short one, --gpu too")});
    if (trouble) return Tell({Skipped("job", "the scheduler would not run it")});
    if (!GoesOn()) return;
    TestJobOptions test;
    test.gpu = options_.gpu;
    test.limit = options_.job_limit;
    test.keep_going = options_.keep_going;
    Tell(CheckByJob(config, adapter, test, progress_));
  }

  const DoctorOptions& options_;
  const OpenScheduler& open_;
  const std::function<void(const Check&)>& report_;
  const Progress& progress_;
  const SystemClock clock_;
};

void PrintLine(const Check& check) {
  std::printf("%-8s %-20s %s\n", kOutcomeWords[static_cast<std::size_t>(check.outcome)],
              Printable(check.name).c_str(), Printable(check.found).c_str());
  if (!check.advice.empty()) {
    std::printf("%-8s %-20s -> %s\n", "", "", Printable(check.advice).c_str());
  }
  std::fflush(stdout);
}

json ToJson(const Check& check) {
  return {{"name", check.name},
          {"outcome", kOutcomeNames[static_cast<std::size_t>(check.outcome)]},
          {"found", check.found},
          {"advice", check.advice}};
}

}  // namespace

void Examine(const DoctorOptions& options, const OpenScheduler& open,
             const std::function<void(const Check&)>& report, const Progress& progress) {
  Examination(options, open, report, progress).Run();
}

void CheckPrinter::Print(const Check& check) {
  checks_.push_back(check);
  if (!as_json_) PrintLine(check);
}

int CheckPrinter::Finish() {
  std::array<int, kOutcomeNames.size()> counts{};
  for (const Check& check : checks_) ++counts[static_cast<std::size_t>(check.outcome)];
  const auto count = [&](Outcome outcome) { return counts[static_cast<std::size_t>(outcome)]; };
  if (as_json_) {
    json lines = json::array();
    for (const Check& check : checks_) lines.push_back(ToJson(check));
    const json all = {{"checks", std::move(lines)},
                      {"ok", count(Outcome::kOk)},
                      {"warnings", count(Outcome::kWarning)},
                      {"failed", count(Outcome::kFailed)},
                      {"skipped", count(Outcome::kSkipped)}};
    std::puts(all.dump(2, ' ', true, json::error_handler_t::replace).c_str());
  } else {
    std::printf("%d ok, %d warning%s, %d failed, %d skipped\n", count(Outcome::kOk),
                count(Outcome::kWarning), count(Outcome::kWarning) == 1 ? "" : "s",
                count(Outcome::kFailed), count(Outcome::kSkipped));
  }
  return count(Outcome::kFailed) == 0 ? 0 : 1;
}

int RunDoctor(const DoctorOptions& options, const OpenScheduler& open) {
  CheckPrinter printer(options.json);
  Examine(
      options, open, [&](const Check& check) { printer.Print(check); },
      [](std::string_view text) { std::fprintf(stderr, "%s\n", Printable(text).c_str()); });
  return printer.Finish();
}

}  // namespace tributary::client
