// tributary-client: a site's daemon.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>

#include "client/daemon.h"
#include "client/doctor.h"
#include "client/init.h"
#include "client/join.h"
#include "client/site_adapter.h"
#include "client/trainer_check.h"
#include "core/child_process.h"
#include "core/command_line.h"
#include "core/files.h"
#include "core/interruption.h"
#include "core/text.h"
#include "core/version.h"
#include "scheduler_adapters/local_supervisor.h"
#include "scheduler_adapters/pilot_worker.h"
#include "security/grpc_credentials.h"
#include "security/grpc_log.h"

namespace tributary::client {
namespace {

int Fail(const Status& status) {
  std::fprintf(stderr, "tributary-client: %s\n", PrintableLines(status.message()).c_str());
  return 1;
}

int Doctor(DoctorOptions options) {
  NoteInterruption();
  options.keep_going = [] { return !Interrupted(); };
  LogOptions quiet;  // what is wrong is a check's to say
  quiet.level = "off";
  if (const Status status = StartLogging(quiet); !status.ok()) return Fail(status);
  return RunDoctor(options, [](const ClientConfig& config, const Clock& clock) {
    scheduler_adapters::SchedulerOptions scheduler = config.scheduler;
    scheduler.supervisor_command = {ProgramPath(), "supervise"};
    return scheduler_adapters::MakeSchedulerAdapter(scheduler, clock);
  });
}

int CheckTrainerCommand(TrainerCheckOptions options, bool as_json) {
  NoteInterruption();
  options.keep_going = [] { return !Interrupted(); };
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

void AddInit(CLI::App* app, InitOptions* options, bool* ask_nothing, bool* no_doctor) {
  app->add_option("--dir", options->directory, "where the site's file, certificate and key go")
      ->capture_default_str();
  app->add_option("--server", options->server, "host:port of the federation's server");
  app->add_option("--server-name", options->server_name,
                  "name in the server's certificate, where --server is a tunnel or an alias");
  app->add_option("--ca-fingerprint", options->ca_fingerprint,
                  "SHA256:... of the federation's authority: the site is enrolled as well");
  app->add_option("--token", options->token.token,
                  "one-time token; others on the machine see it here: without it --token-file, or "
                  "it is asked for")
      ->envname("TRIBUTARY_TOKEN");
  app->add_option("--token-file", options->token.file, "a file that holds it; -: standard input");
  app->add_option("--scheduler", options->scheduler,
                  "local, slurm or pbs (default: what is found)");
  app->add_option("--command-directory", options->command_directory,
                  "where sbatch or qsub is (default: found by the PATH)");
  app->add_option("--queue", options->queue, "queue, or partition, of the jobs");
  app->add_option("--account", options->account, "account of the jobs");
  app->add_option(
         "--directive", options->directives,
         "a further option of sbatch or qsub: --directive=--constraint=gpu; may be repeated")
      ->allow_extra_args(false);
  app->add_option("--module", options->modules, "a module that jobs load; may be repeated")
      ->allow_extra_args(false);
  app->add_option("--cpus", options->cpus, "of a job, on each node")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{4096}));
  app->add_option("--gpus", options->gpus, "of a job, on each node")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1024}));
  app->add_option("--walltime", options->walltime, "of the longest job: 30m, 2h");
  app->add_option("--node-hours", options->node_hours, "that campaigns may use in all; 0: no limit")
      ->check(CLI::NonNegativeNumber);
  app->add_option("--workspace", options->workspace, "task directories, which jobs see");
  app->add_option("--state-dir", options->state_dir, "the daemon's own directory, on a local disk");
  app->add_option("--model", options->models,
                  "NAME=DIRECTORY of a base model that campaigns may use; may be repeated")
      ->allow_extra_args(false);
  app->add_option("--data", options->data,
                  "NAME=FILE of JSON lines that campaigns may use; may be repeated")
      ->allow_extra_args(false);
  app->add_option("--campaign", options->campaigns,
                  "a campaign that this site takes part in; may be repeated")
      ->allow_extra_args(false);
  app->add_option("--lead", options->leads, "who may lead it; may be repeated")
      ->allow_extra_args(false);
  app->add_option("trainer", options->trainer, "the trainer's command, after --");
  app->add_flag("--replace", options->replace,
                "write a new file; the one that is there is kept as client.yaml.before");
  app->add_flag("--defaults", *ask_nothing,
                "ask nothing: what is not given is what would have been proposed. So it is where "
                "standard input is no terminal");
  app->add_flag("--no-doctor", *no_doctor, "do not check the site at the end");
}

int InitCommand(const InitOptions& options, bool ask_nothing, bool no_doctor) {
  const bool ask = !ask_nothing && isatty(STDIN_FILENO) != 0;
  Questions questions(ask ? stdin : nullptr, stdout);
  const auto file = Init(options, questions);
  if (!file.ok()) return Fail(file.status());
  if (no_doctor) return 0;
  DoctorOptions doctor;
  doctor.config_path = *file;
  return Doctor(std::move(doctor));
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
  InitOptions init_options;
  bool ask_nothing = false, no_doctor = false;
  CLI::App* init = app.add_subcommand(
      "init",
      "make a site of this machine: write its file by asking, enroll it, and check it. Ends as "
      "doctor does");
  AddInit(init, &init_options, &ask_nothing, &no_doctor);
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
  if (init->parsed()) return InitCommand(init_options, ask_nothing, no_doctor);
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
  if (in_job) {
    const auto said = RunInJob(*std::move(config), config_path);
    if (!said.ok()) return Fail(said.status());
    if (!said->empty()) std::puts(said->c_str());
    return 0;
  }
  const Status status =
      once ? RunVisit(*std::move(config)) : RunDaemon(*std::move(config), end_jobs);
  return status.ok() ? 0 : Fail(status);
}

}  // namespace
}  // namespace tributary::client

int main(int argc, char** argv) { return tributary::client::Main(argc, argv); }
