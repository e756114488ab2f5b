#include "scheduler_adapters/pilot_worker.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <optional>
#include <vector>

#include "core/clock.h"
#include "scheduler_adapters/pilot_directory.h"
#include "scheduler_adapters/pilot_policy.h"
#include "scheduler_adapters/task_process.h"

namespace tributary::scheduler_adapters {
namespace {

using Steady = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kBeatInterval{5};

// What it cannot write now it cannot tell anybody else either.
void Complain(const Status& status) {
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
}

std::string HostName() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

class Pilot {
 public:
  Pilot(PilotDirectory directory, PilotRecord record)
      : directory_(std::move(directory)),
        record_(std::move(record)),
        name_(record_.spec.name),
        began_(Steady::now()) {}

  Status Run();

 private:
  Status Prepare();
  void BuryEarlierIncarnation();
  // The next task, claimed.
  std::optional<PilotRequest> TakeNext();
  std::vector<const PilotRequest*> Waiting();
  void Serve(const PilotRequest& request);
  TaskExit RunTask(JobSpec spec);
  void WaitFor(milliseconds time);
  std::string WhyLeave() const;
  std::string WhyLeaveWithoutATask() const;
  std::optional<seconds> Left() const;
  void Beat();
  void BeatIfDue();

  const PilotDirectory directory_;
  const PilotRecord record_;
  const std::string name_;
  const Steady::time_point began_;
  const SystemClock clock_;
  FileDescriptor signals_;
  bool told_to_leave_ = false;
  bool nothing_fits_ = false;                  // of what waits for a pilot like this
  std::map<std::string, PilotRequest> known_;  // waiting requests do not change
  PilotState state_;
  Steady::time_point idle_since_, beat_at_;
  std::optional<Steady::time_point> busy_since_;
  std::chrono::microseconds busy_{0};  // with tasks that ended
};

Status Pilot::Run() {
  TRIBUTARY_RETURN_IF_ERROR(Prepare());
  BuryEarlierIncarnation();
  state_.pid = getpid();
  state_.host = HostName();
  state_.started = clock_.Now();
  state_.idle_since = state_.started;
  idle_since_ = Steady::now();
  Beat();
  while ((state_.left = WhyLeave()).empty()) {
    if (const auto request = TakeNext()) {
      Serve(*request);
      continue;
    }
    state_.left = WhyLeaveWithoutATask();
    if (!state_.left.empty()) break;
    WaitFor(record_.poll_interval);
    BeatIfDue();
  }
  Beat();
  std::printf("pilot %s leaves: %s\n", name_.c_str(), state_.left.c_str());
  return OkStatus();
}

Status Pilot::Prepare() {
  sigset_t handled;
  sigemptyset(&handled);
  for (const int number : {SIGCHLD, SIGTERM, SIGINT, SIGUSR1}) sigaddset(&handled, number);
  if (sigprocmask(SIG_BLOCK, &handled, nullptr) != 0) return ErrnoError("sigprocmask", errno);
  signals_ = FileDescriptor(signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_.valid()) return ErrnoError("signalfd", errno);
  // Processes that a task leaves behind come to us, so that they can be ended with it.
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return ErrnoError("prctl", errno);
  return OkStatus();
}

void Pilot::BuryEarlierIncarnation() {
  const auto earlier = directory_.ReadState(name_);
  if (!earlier.ok() || !*earlier || (*earlier)->current.empty()) return;
  const std::string& task = (*earlier)->current;
  const auto lost = directory_.ReadTask(task);
  if (!lost.ok() || !lost->claim || lost->claim->pilot != name_ || lost->end) return;
  PilotTaskEnd end;
  end.state = JobState::kNodeFailed;
  end.started = lost->claim->at;
  end.ended = clock_.Now();
  end.message = "its pilot was started again";
  Complain(directory_.End(task, end, name_).status());
}

std::optional<seconds> Pilot::Left() const {
  if (record_.serve.count() == 0) return std::nullopt;
  return std::chrono::floor<seconds>(began_ + record_.serve - Steady::now());
}

std::string Pilot::WhyLeave() const {
  if (told_to_leave_) return "told to by a signal";
  if (directory_.IsStopRequested(name_)) return "asked to stop";
  if (!FitsPilot(seconds(0), Left())) return "its walltime is nearly over";
  return "";
}

// After it looked for one: a pilot that comes up late finds what waits, however short its patience.
std::string Pilot::WhyLeaveWithoutATask() const {
  if (nothing_fits_) return "what waits does not fit into what is left of its walltime";
  if (Steady::now() - idle_since_ > record_.idle_timeout) return "idle";
  return "";
}

// Of this pilot's profile, the oldest first.
std::vector<const PilotRequest*> Pilot::Waiting() {
  const auto names = directory_.Queued();
  if (!names.ok()) {
    Complain(names.status());
    return {};
  }
  std::erase_if(known_, [&](const auto& entry) {
    return !std::binary_search(names->begin(), names->end(), entry.first);
  });
  std::vector<const PilotRequest*> waiting;
  for (const std::string& name : *names) {
    auto at = known_.find(name);
    if (at == known_.end()) {
      auto request = directory_.ReadRequest(name);
      if (!request.ok()) continue;
      at = known_.emplace(name, *std::move(request)).first;
    }
    if (PilotProfile(at->second.spec) == record_.profile) waiting.push_back(&at->second);
  }
  std::stable_sort(waiting.begin(), waiting.end(),
                   [](const auto* a, const auto* b) { return a->submitted < b->submitted; });
  return waiting;
}

std::optional<PilotRequest> Pilot::TakeNext() {
  const std::vector<const PilotRequest*> waiting = Waiting();
  nothing_fits_ = !waiting.empty();
  for (const PilotRequest* candidate : waiting) {
    if (!FitsPilot(candidate->spec.walltime, Left())) continue;
    nothing_fits_ = false;
    const PilotRequest request = *candidate;
    const std::string& task = request.spec.name;
    // On record before the claim: a later incarnation knows which claim of ours to look for.
    state_.current = task;
    ++state_.tasks;
    Beat();
    const auto claimed = directory_.Claim(task, {name_, state_.started, clock_.Now()}, name_);
    if (claimed.ok() && *claimed) {
      Complain(directory_.Unqueue(task));
      known_.erase(task);
      return request;
    }
    state_.current.clear();
    --state_.tasks;
    if (claimed.ok()) {
      Complain(directory_.Unqueue(task));  // a leftover: whoever has it may have died in between
      known_.erase(task);
    } else {
      Complain(claimed.status());
    }
  }
  return std::nullopt;
}

void Pilot::Serve(const PilotRequest& request) {
  const std::string& task = request.spec.name;
  busy_since_ = Steady::now();
  PilotTaskEnd end;
  if (directory_.IsCancelRequested(task)) {
    end.state = JobState::kCancelled;
    end.message = "cancelled before it started";
  } else {
    end.started = clock_.Now();
    const TaskExit exit = RunTask(request.spec);
    end.state = exit.state;
    end.exit_code = exit.exit_code;
    end.message = exit.message;
  }
  end.ended = clock_.Now();
  Complain(directory_.End(task, end, name_).status());
  idle_since_ = Steady::now();
  busy_ += std::chrono::duration_cast<std::chrono::microseconds>(idle_since_ - *busy_since_);
  busy_since_.reset();
  state_.current.clear();
  state_.idle_since = clock_.Now();
  Beat();
}

TaskExit Pilot::RunTask(JobSpec spec) {
  // The pilot's walltime ends a task that has none, and warns it as its own would.
  if (const auto left = Left(); left && spec.walltime.count() == 0) {
    spec.walltime = std::max(*left - kPilotReserve, seconds(1));
    if (spec.warning_before >= spec.walltime) spec.warning_before = seconds(0);
  }
  auto process = TaskProcess::Start(spec, record_.grace);
  if (!process.ok()) return {JobState::kFailed, 127, process.status().message()};
  Steady::time_point look_at = Steady::now() + record_.poll_interval;
  while (true) {
    if (const auto exit = process->Step()) return *exit;
    WaitFor(process->UntilDue(record_.poll_interval));
    if (told_to_leave_) process->Interrupt();
    if (Steady::now() < look_at) continue;
    look_at = Steady::now() + record_.poll_interval;
    if (directory_.IsCancelRequested(spec.name)) process->Cancel();
    BeatIfDue();
  }
}

// Or until a signal comes.
void Pilot::WaitFor(milliseconds time) {
  pollfd wait{signals_.get(), POLLIN, 0};
  poll(&wait, 1, static_cast<int>(std::min<std::int64_t>(time.count(), 3'600'000)));
  signalfd_siginfo info{};
  while (read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo != SIGCHLD) told_to_leave_ = true;
  }
}

void Pilot::Beat() {
  const auto now = Steady::now();
  beat_at_ = now + kBeatInterval;
  state_.beat = clock_.Now();
  state_.busy = busy_;
  if (busy_since_) {
    state_.busy += std::chrono::duration_cast<std::chrono::microseconds>(now - *busy_since_);
  }
  Complain(directory_.PutState(name_, state_));
}

void Pilot::BeatIfDue() {
  if (Steady::now() >= beat_at_) Beat();
}

}  // namespace

int RunPilot(const std::string& directory_path, const std::string& name) {
  const PilotDirectory directory(directory_path);
  auto record = directory.ReadPilot(name);
  if (!record.ok()) {
    Complain(record.status());
    return 1;
  }
  const Status status = Pilot(directory, *std::move(record)).Run();
  Complain(status);
  return status.ok() ? 0 : 1;
}

}  // namespace tributary::scheduler_adapters
