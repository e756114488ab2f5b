// tributary-client: a site's daemon.
#include <pthread.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "client/agent.h"
#include "client/daemon_job.h"
#include "client/doctor.h"
#include "client/job_ending.h"
#include "client/job_rendering.h"
#include "client/join.h"
#include "client/pilots.h"
#include "client/site_adapter.h"
#include "client/site_ledger.h"
#include "client/trainer_check.h"
#include "core/command_line.h"
#include "core/files.h"
#include "core/text.h"
#include "core/version.h"
#include "scheduler_adapters/local_supervisor.h"
#include "scheduler_adapters/pilot_worker.h"
#include "security/grpc_credentials.h"
#include "security/grpc_log.h"
#include "security/key_file.h"
#include "security/pki.h"

namespace tributary::client {
namespace {

std::string OwnPath() {
  char path[PATH_MAX];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof path);
  return size > 0 ? std::string(path, static_cast<std::size_t>(size)) : "tributary-client";
}

Result<std::unique_ptr<scheduler_adapters::SchedulerAdapter>> OpenScheduler(ClientConfig& config,
                                                                            SiteLedger* ledger,
                                                                            const Clock& clock) {
  config.scheduler.supervisor_command = {OwnPath(), "supervise"};
  TRIBUTARY_ASSIGN_OR_RETURN(auto adapter,
                             scheduler_adapters::MakeSchedulerAdapter(config.scheduler, clock));
  return WithPilots(config, OwnPath(), std::move(adapter), ledger, clock);
}

constexpr std::chrono::seconds kVisitLimit{50};

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
  return DaemonJobOptions{config, identity.name, OwnPath(), std::filesystem::absolute(config_path)};
}

// The job of a task that does not exist, with the first model and data of the policy.
Result<std::string> RenderSample(ClientConfig config, const std::string& kind) {
  const SystemClock clock;
  // Its records are not for a preview; a daemon may hold the real ones.
  TRIBUTARY_ASSIGN_OR_RETURN(const auto scratch, TemporaryDirectory::Create("tributary-render-"));
  config.scheduler.state_directory = scratch.path();
  TRIBUTARY_ASSIGN_OR_RETURN(const auto adapter, OpenScheduler(config, nullptr, clock));
  const scheduler_adapters::JobSpec spec = SampleJob(config, kind);
  TRIBUTARY_RETURN_IF_ERROR(scheduler_adapters::CheckJobSpec(spec));
  return adapter->Render(spec);
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
    TRIBUTARY_ASSIGN_OR_RETURN(const auto adapter, OpenScheduler(config, ledger, clock));
    return EndJobs(*adapter, JobNamePrefix(config, site), [&] {
      std::this_thread::sleep_for(std::chrono::nanoseconds(kPause.tv_nsec));
      return !*stop;
    });
  }();
  done = true;
  listener.join();
  return status;
}

volatile std::sig_atomic_t g_interrupted = 0;

// The first signal ends what is at work and then the program, the second one the program.
void LetSignalsInterrupt() {
  struct sigaction interrupt {};
  interrupt.sa_handler = [](int) { g_interrupted = 1; };
  interrupt.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &interrupt, nullptr);
  sigaction(SIGTERM, &interrupt, nullptr);
}

// For cron: what is due is done and the program leaves. What a killed visit left, the next one
// does.
Status Visit(ClientConfig config) {
  signal(SIGCHLD, SIG_DFL);
  LetSignalsInterrupt();
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
  TRIBUTARY_ASSIGN_OR_RETURN(auto adapter, OpenScheduler(config, ledger->get(), clock));
  TRIBUTARY_ASSIGN_OR_RETURN(
      auto agent, Agent::Start(config, std::move(adapter), **ledger, clock, Presence::kVisits));
  const Status status = agent->Visit(kVisitLimit, [] { return g_interrupted == 0; });
  *stop = true;
  agent.reset();
  LogInfo("client", "visit ended; jobs run on");
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

struct RunOptions {
  bool end_jobs = false;
  std::string daemon_job = {};  // this process is it; empty: of no scheduler
  std::string config_path = {};
};

Status Run(ClientConfig config, const RunOptions& options) {
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
  TRIBUTARY_ASSIGN_OR_RETURN(auto adapter, OpenScheduler(config, ledger.get(), clock));
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

int Fail(const Status& status) {
  std::fprintf(stderr, "tributary-client: %s\n", PrintableLines(status.message()).c_str());
  return 1;
}

int RunInJob(ClientConfig config, const std::string& config_path) {
  const char* name = std::getenv(kDaemonJobVariable);
  if (name != nullptr) {
    const Status status = Run(std::move(config), {false, name, config_path});
    return status.ok() ? 0 : Fail(status);
  }
  const SystemClock clock;
  const auto options = DaemonJobOf(config, config_path);
  if (!options.ok()) return Fail(options.status());
  const auto there = EnsureDaemonJob(*options, clock);
  if (!there.ok()) return Fail(there.status());
  std::puts(there->c_str());
  return 0;
}

int Doctor(DoctorOptions options) {
  LetSignalsInterrupt();
  options.keep_going = [] { return g_interrupted == 0; };
  LogOptions quiet;  // what is wrong is a check's to say
  quiet.level = "off";
  if (const Status status = StartLogging(quiet); !status.ok()) return Fail(status);
  return RunDoctor(options, [](const ClientConfig& config, const Clock& clock) {
    scheduler_adapters::SchedulerOptions scheduler = config.scheduler;
    scheduler.supervisor_command = {OwnPath(), "supervise"};
    return scheduler_adapters::MakeSchedulerAdapter(scheduler, clock);
  });
}

int CheckTrainerCommand(TrainerCheckOptions options, bool as_json) {
  LetSignalsInterrupt();
  options.keep_going = [] { return g_interrupted == 0; };
  CheckPrinter printer(as_json);
  const Status status =
      CheckTrainerContract(options, [&](const Check& check) { printer.Print(check); });
  return status.ok() ? printer.Finish() : Fail(status);
}

void AddTrainerCheck(CLI::App* app, TrainerCheckOptions* options, bool* as_json) {
  app->add_option("command", options->command, "the trainer, after --")->required();
  app->add_option("--model", options->model,
                  "a model directory to train on (default: a tiny Llama is made up)");
  app->add_option("--data", options->data, "JSON lines to train on (default: made up)");
  app->add_option("--target-modules", options->target_modules, "linear modules that get factors")
      ->delimiter(',')
      ->capture_default_str();
  app->add_option("--dir", options->directory,
                  "where the tasks stay to be looked at (default: they are removed)");
  app->add_option_function<std::int64_t>(
         "--limit",
         [options](std::int64_t seconds) { options->limit = std::chrono::seconds(seconds); },
         "seconds that one run may take")
      ->default_str("300")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{604800}));
  app->add_flag("--json", *as_json, "one JSON object instead of lines");
}

void AddDoctor(CLI::App* app, DoctorOptions* options) {
  app->add_option("-c,--config", options->config_path, "the site's file")->capture_default_str();
  app->add_flag("--json", options->json, "one JSON object instead of lines");
  app->add_flag("--job", options->job, "run a short job, which writes into the workspace");
  app->add_flag("--gpu", options->gpu, "run a short job, which lists the GPUs of its node");
  app->add_option_function<std::int64_t>(
         "--job-limit",
         [options](std::int64_t seconds) { options->job_limit = std::chrono::seconds(seconds); },
         "seconds after which the job is cancelled")
      ->default_str("600")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{604800}));
}

// Adapters of personalised strategies, which are whole at this site alone.
int PrintAdapters(const ClientConfig& config, bool as_json) {
  const auto adapters = ListSiteAdapters(config.workspace);
  if (!adapters.ok()) return Fail(adapters.status());
  nlohmann::json list = nlohmann::json::array();
  for (const SiteAdapter& adapter : *adapters) {
    list.push_back({{"campaign", adapter.campaign},
                    {"directory", adapter.directory},
                    {"version", adapter.version},
                    {"evaluated", adapter.evaluated},
                    {"metrics", adapter.metrics}});
    if (as_json) continue;
    std::printf("%s  version %lld%s  %s\n", Printable(adapter.campaign).c_str(),
                static_cast<long long>(adapter.version),
                adapter.evaluated ? ", evaluated" : ", as the last training left it",
                Printable(adapter.directory).c_str());
    for (const auto& [name, value] : adapter.metrics) {
      std::printf("    %s %g\n", Printable(name).c_str(), value);
    }
  }
  if (as_json) std::puts(list.dump(2, ' ', true).c_str());
  if (!as_json && list.empty()) {
    std::puts("none: personalised strategies (fedsa-lora) leave a site with an adapter of its own");
  }
  return 0;
}

int Main(int argc, char** argv) {
  // The supervisor of a local job: nothing else of this program may start first.
  if (argc == 3 && std::strcmp(argv[1], "supervise") == 0) {
    return scheduler_adapters::RunLocalJob(argv[2]);
  }
  // Inside a pilot's job, likewise: "pilot --dir DIR --name NAME", as PilotAdapter submits it.
  if (argc == 6 && std::strcmp(argv[1], "pilot") == 0 && std::strcmp(argv[2], "--dir") == 0 &&
      std::strcmp(argv[4], "--name") == 0) {
    return scheduler_adapters::RunPilot(argv[3], argv[5]);
  }
  security::RequireTls13();
  security::RouteGrpcLog(LogLevel::kDebug);  // the daemon says in words what is wrong
  CLI::App app("tributary-client: runs a federation's tasks as jobs of this site");
  app.set_version_flag("--version", kVersion);
  AddSelfDescription(&app, kVersion);
  app.require_subcommand(1);
  std::string config_path = "client.yaml";
  bool check_config = false;
  CLI::App* run = app.add_subcommand("run", "run the daemon in the foreground");
  run->add_option("-c,--config", config_path, "the site's file")->capture_default_str();
  bool end_jobs = false;
  run->add_flag(
      "--end-jobs", end_jobs,
      "when told to end (SIGTERM, SIGINT): cancel this site's jobs and wait for their end; "
      "a second signal ends the wait. Without it jobs run on");
  bool once = false;
  run->add_flag(
         "--once", once,
         "for cron where no daemon may stay: hand over and take over what is due, look after "
         "the jobs, and leave within a minute")
      ->excludes("--end-jobs");
  bool in_job = false;
  run->add_flag("--in-job", in_job,
                "where login nodes let nothing stay: the daemon becomes a job (daemon_job in the "
                "site's file), which submits its own successor; may be run again and again")
      ->excludes("--end-jobs")
      ->excludes("--once");
  run->add_flag("--check-config", check_config, "print the effective configuration and exit");
  JoinOptions join_options;
  CLI::App* join = app.add_subcommand(
      "join", "enroll this site: makes a key here and gets a certificate for it");
  join->add_option("--server", join_options.server, "host:port, from the token's sender")
      ->required();
  join->add_option("--token", join_options.token.token,
                   "one-time token; others on the machine see it here: without it --token-file, or "
                   "it is asked for")
      ->envname("TRIBUTARY_TOKEN");
  join->add_option("--token-file", join_options.token.file,
                   "a file that holds it; -: standard input");
  join->add_option("--server-name", join_options.server_name,
                   "name in the server's certificate, where --server is a tunnel or an alias");
  join->add_option("--ca-fingerprint", join_options.ca_fingerprint,
                   "SHA256:..., compared over another channel than the token's")
      ->required();
  join->add_option("--dir", join_options.directory, "where key and certificate go")
      ->capture_default_str();
  CLI::App* render = app.add_subcommand(
      "render", "print the job of a made-up task, as the scheduler would get it");
  std::string kind = "train";
  render->add_option("-c,--config", config_path, "the site's file")->capture_default_str();
  render->add_option("--kind", kind, "train or evaluate")
      ->check(CLI::IsMember({"train", "evaluate"}))
      ->capture_default_str();
  DoctorOptions doctor_options;
  doctor_options.config_path = config_path;
  CLI::App* doctor = app.add_subcommand(
      "doctor", "check this site before anything is queued; each line says what to do");
  AddDoctor(doctor, &doctor_options);
  TrainerCheckOptions trainer_options;
  bool trainer_json = false;
  CLI::App* check_trainer = app.add_subcommand(
      "check-trainer", "run a trainer on made-up tasks and say what it gets wrong: -- COMMAND");
  AddTrainerCheck(check_trainer, &trainer_options, &trainer_json);
  bool adapters_json = false;
  CLI::App* adapters = app.add_subcommand(
      "adapters", "list this site's own adapters, which personalised strategies leave here");
  adapters->add_option("-c,--config", config_path, "the site's file")->capture_default_str();
  adapters->add_flag("--json", adapters_json, "a JSON list instead of lines");
  CLI11_PARSE(app, argc, argv);
  if (check_trainer->parsed()) return CheckTrainerCommand(trainer_options, trainer_json);
  if (doctor->parsed()) return Doctor(std::move(doctor_options));
  if (join->parsed()) {
    const Status status = Join(join_options);
    return status.ok() ? 0 : Fail(status);
  }
  auto config = LoadClientConfig(config_path);
  if (!config.ok()) return Fail(config.status());
  if (check_config) {
    std::fputs(PrintYaml(*config).c_str(), stdout);
    return 0;
  }
  if (adapters->parsed()) return PrintAdapters(*config, adapters_json);
  if (render->parsed()) {
    const auto text = RenderSample(*std::move(config), kind);
    if (!text.ok()) return Fail(text.status());
    std::fputs(text->c_str(), stdout);
    return 0;
  }
  if (in_job) return RunInJob(*std::move(config), config_path);
  const Status status =
      once ? Visit(*std::move(config)) : Run(*std::move(config), {.end_jobs = end_jobs});
  return status.ok() ? 0 : Fail(status);
}

}  // namespace
}  // namespace tributary::client

int main(int argc, char** argv) { return tributary::client::Main(argc, argv); }
