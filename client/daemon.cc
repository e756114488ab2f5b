#include "client/daemon.h"

#include <pthread.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "client/agent.h"
#include "client/daemon_job.h"
#include "client/job_ending.h"
#include "client/job_rendering.h"
#include "client/pilots.h"
#include "client/site_ledger.h"
#include "core/child_process.h"
#include "core/files.h"
#include "core/interruption.h"
#include "core/log.h"
#include "security/key_file.h"
#include "security/pki.h"

namespace tributary::client {
namespace {

constexpr std::chrono::seconds kVisitLimit{50};

Result<std::unique_ptr<scheduler_adapters::SchedulerAdapter>> SchedulerOf(ClientConfig& config,
                                                                          SiteLedger* ledger,
                                                                          const Clock& clock) {
  config.scheduler.supervisor_command = {ProgramPath(), "supervise"};
  TRIBUTARY_ASSIGN_OR_RETURN(auto adapter,
                             scheduler_adapters::MakeSchedulerAdapter(config.scheduler, clock));
  return WithPilots(config, ProgramPath(), std::move(adapter), ledger, clock);
}

// `config` outlives it.
Result<DaemonJobOptions> DaemonJobOf(const ClientConfig& config, const std::string& config_path) {
  if (!config.daemon_job) {
    return InvalidArgumentError(config_path +
                                ": --in-job needs a section daemon_job: {queue, walltime, ...}");
  }
  if (config.scheduler.adapter == "local") {
    return InvalidArgumentError(
        config_path + ": --in-job: the local adapter has no queue; it is for slurm and pbs");
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string certificate,
                             security::ReadCertificateFile(config.tls.certificate));
  TRIBUTARY_ASSIGN_OR_RETURN(
      const auto identity,
      security::CertificateIdentity(certificate).Annotate(config.tls.certificate));
  return DaemonJobOptions{config, identity.name, ProgramPath(),
                          std::filesystem::absolute(config_path)};
}

// Until a second signal comes, also while a command of the scheduler hangs.
Status EndAllJobs(ClientConfig& config, const std::string& site, SiteLedger* ledger,
                  const sigset_t& signals) {
  const SystemClock clock;
  LogInfo("client", "stopping, and ending the jobs");
  const auto stop = std::make_shared<std::atomic<bool>>(false);
  config.scheduler.stop = stop;
  std::atomic<bool> done = false;
  constexpr timespec kPause{.tv_sec = 0, .tv_nsec = 200'000'000};
  std::thread listener([&] {
    while (!done && !*stop) *stop = sigtimedwait(&signals, nullptr, &kPause) >= 0;
  });
  const Status status = [&]() -> Status {
    TRIBUTARY_ASSIGN_OR_RETURN(const auto adapter, SchedulerOf(config, ledger, clock));
    return EndJobs(*adapter, JobNamePrefix(config, site), [&] {
      std::this_thread::sleep_for(std::chrono::nanoseconds(kPause.tv_nsec));
      return !*stop;
    });
  }();
  done = true;
  listener.join();
  return status;
}

// The signal that ended the wait; 0: the daemon's next job took over.
int AwaitEnd(const sigset_t& signals, DaemonSuccession* succession) {
  constexpr timespec kPause{.tv_sec = 0, .tv_nsec = 200'000'000};
  while (true) {
    const int signal = sigtimedwait(&signals, nullptr, &kPause);
    if (signal > 0) return signal;
    if (succession != nullptr && succession->HandedOver()) return 0;
  }
}

// A daemon's job waits for the one before it, which leaves when it sees that this one can serve; or
// leaves itself, when it was put back into the queue and another one has taken over. Cancelled by
// that, or by a signal.
Result<std::unique_ptr<SiteLedger>> OpenLedger(const ClientConfig& config,
                                               DaemonSuccession* succession,
                                               const sigset_t& signals) {
  constexpr timespec kPause{.tv_sec = 0, .tv_nsec = 500'000'000};
  const std::string path = JoinPath(config.state_dir, "ledger.db");
  if (succession == nullptr) return SiteLedger::Open(path);
  LogLimit log_limit(/*lines=*/50);
  bool ready = false;
  while (true) {
    if (!ready) {
      const Status status = succession->SayReady();
      ready = status.ok();
      if (!ready) {
        log_limit.Log("ready", LogLevel::kWarning, "client", "this job cannot serve yet",
                      {{"reason", status}});
      }
    }
    auto ledger = SiteLedger::Open(path);
    if (ledger.status().code() != StatusCode::kFailedPrecondition) return ledger;
    log_limit.Log("wait", LogLevel::kInfo, "client", "the daemon's job before this one serves", {});
    if (succession->HandedOver()) return CancelledError("another of the daemon's jobs serves");
    if (sigtimedwait(&signals, nullptr, &kPause) > 0) return CancelledError("stopped by a signal");
  }
}

struct ServeOptions {
  bool end_jobs = false;
  std::string daemon_job = {};  // this process is it; empty: of no scheduler
  std::string config_path = {};
};

Status Serve(ClientConfig config, const ServeOptions& options) {
  signal(SIGCHLD, SIG_DFL);  // ignored by some parents: then no command's end could be seen
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  TRIBUTARY_RETURN_IF_ERROR(StartLogging(config.log));
  const SystemClock clock;
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(config.state_dir).Annotate("state_dir"));
  const auto stop = std::make_shared<std::atomic<bool>>(false);
  config.scheduler.stop = stop;
  std::unique_ptr<DaemonSuccession> succession;
  if (!options.daemon_job.empty()) {
    TRIBUTARY_ASSIGN_OR_RETURN(const DaemonJobOptions of_job,
                               DaemonJobOf(config, options.config_path));
    TRIBUTARY_ASSIGN_OR_RETURN(succession,
                               DaemonSuccession::Start(of_job, options.daemon_job, clock));
  }
  auto opened = OpenLedger(config, succession.get(), signals);
  if (opened.status().code() == StatusCode::kCancelled) {
    LogInfo("client", "this job leaves", {{"reason", opened.status()}});
    return OkStatus();
  }
  TRIBUTARY_RETURN_IF_ERROR(opened.status());
  const std::unique_ptr<SiteLedger> ledger = *std::move(opened);
  if (succession) succession->ForgetEarlier();
  TRIBUTARY_ASSIGN_OR_RETURN(auto adapter, SchedulerOf(config, ledger.get(), clock));
  TRIBUTARY_ASSIGN_OR_RETURN(auto agent, Agent::Start(config, std::move(adapter), *ledger, clock));
  (void)AwaitEnd(signals, succession.get());
  *stop = true;  // a scheduler that hangs holds nothing up
  if (options.end_jobs) {
    const std::string site = agent->site();
    agent.reset();  // it submits no more
    return EndAllJobs(config, site, ledger.get(), signals);
  }
  LogInfo("client", "stopping; jobs run on");
  return OkStatus();
}

}  // namespace

Status RunDaemon(ClientConfig config, bool end_jobs) {
  return Serve(std::move(config), {.end_jobs = end_jobs});
}

Status RunVisit(ClientConfig config) {
  signal(SIGCHLD, SIG_DFL);
  NoteInterruption();
  TRIBUTARY_RETURN_IF_ERROR(StartLogging(config.log));
  if (config.job.pilot) {
    return InvalidArgumentError(
        "job.pilot: a pilot needs a daemon that stays; it would wait, and be charged, for the next "
        "visit");
  }
  const SystemClock clock;
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(config.state_dir).Annotate("state_dir"));
  auto ledger = SiteLedger::Open(JoinPath(config.state_dir, "ledger.db"));
  if (ledger.status().code() == StatusCode::kFailedPrecondition) {
    LogInfo("client", "another visit or a daemon is at work here", {{"reason", ledger.status()}});
    return OkStatus();
  }
  TRIBUTARY_RETURN_IF_ERROR(ledger.status());
  const auto stop = std::make_shared<std::atomic<bool>>(false);
  config.scheduler.stop = stop;
  TRIBUTARY_ASSIGN_OR_RETURN(auto adapter, SchedulerOf(config, ledger->get(), clock));
  TRIBUTARY_ASSIGN_OR_RETURN(
      auto agent, Agent::Start(config, std::move(adapter), **ledger, clock, Presence::kVisits));
  const Status status = agent->Visit(kVisitLimit, [] { return !Interrupted(); });
  *stop = true;
  agent.reset();
  LogInfo("client", "visit ended; jobs run on");
  return status;
}

Result<std::string> RunInJob(ClientConfig config, const std::string& config_path) {
  if (const char* name = std::getenv(kDaemonJobVariable)) {
    TRIBUTARY_RETURN_IF_ERROR(Serve(std::move(config), {false, name, config_path}));
    return std::string();
  }
  const SystemClock clock;
  TRIBUTARY_ASSIGN_OR_RETURN(const DaemonJobOptions options, DaemonJobOf(config, config_path));
  return EnsureDaemonJob(options, clock);
}

Result<std::string> RenderSample(ClientConfig config, const std::string& kind) {
  const SystemClock clock;
  // Its records are not for a preview; a daemon may hold the real ones.
  TRIBUTARY_ASSIGN_OR_RETURN(const auto scratch, TemporaryDirectory::Create("tributary-render-"));
  config.scheduler.state_directory = scratch.path();
  TRIBUTARY_ASSIGN_OR_RETURN(const auto adapter, SchedulerOf(config, nullptr, clock));
  const scheduler_adapters::JobSpec spec = SampleJob(config, kind);
  TRIBUTARY_RETURN_IF_ERROR(scheduler_adapters::CheckJobSpec(spec));
  return adapter->Render(spec);
}

}  // namespace tributary::client
