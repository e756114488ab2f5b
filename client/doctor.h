// `tributary-client doctor`: checks a site before anything is queued.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "client/client_config.h"
#include "client/doctor_check.h"
#include "core/clock.h"
#include "core/status.h"
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::client {

struct DoctorOptions {
  std::string config_path;
  bool json = false;
  bool job = false;  // a short job really runs
  bool gpu = false;  // it lists the GPUs of its node; implies `job`
  std::chrono::seconds job_limit{600};
  std::chrono::seconds command_limit{60};                  // of one run of the trainer
  std::function<bool()> keep_going = [] { return true; };  // false: interrupted
};

// The adapter that jobs of the doctor go through: directly, no pilot. Its records are in
// config.scheduler.state_directory, which is the doctor's own.
using OpenScheduler = std::function<Result<std::unique_ptr<scheduler_adapters::SchedulerAdapter>>(
    const ClientConfig& config, const Clock& clock)>;

// Runs every check in order and hands each to `report` as it is known. Opens no database of a
// daemon and does not touch its connection, so it may run beside one.
void Examine(const DoctorOptions& options, const OpenScheduler& open,
             const std::function<void(const Check&)>& report, const Progress& progress);

// Prints checks to standard output, as lines or, at the end, as one JSON object.
class CheckPrinter {
 public:
  explicit CheckPrinter(bool as_json) : as_json_(as_json) {}
  void Print(const Check& check);
  // The counts. Returns the exit status: 0 when nothing failed, otherwise 1.
  int Finish();

 private:
  bool as_json_;
  Checks checks_;
};

// Prints the checks, and progress to standard error. The exit status as above.
int RunDoctor(const DoctorOptions& options, const OpenScheduler& open);

}  // namespace tributary::client
