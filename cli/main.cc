// tributary: what people type.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <string_view>

#include "cli/campaign_commands.h"
#include "cli/demo.h"
#include "cli/member_commands.h"
#include "cli/output.h"
#include "cli/profile.h"
#include "cli/strategies_command.h"
#include "cli/watch_command.h"
#include "core/command_line.h"
#include "core/log.h"
#include "core/version.h"
#include "security/grpc_credentials.h"
#include "security/grpc_log.h"

namespace tributary::cli {
namespace {

// Options live as long as the parser that fills them.
struct Arguments {
  GlobalOptions global;
  ProvisionOptions provision;
  TokenOptions token;
  JoinOptions join;
  ExportOptions exported;
  DemoOptions demo;
  StrategiesOptions strategies;
  ResumeOptions resume;
  ChangeOptions change;
  WatchOptions watch;
  ShowOptions show;
  std::string file, campaign;
};

using Run = std::function<int()>;

void AddMemberCommands(CLI::App& app, Arguments& a, std::map<CLI::App*, Run>& runs) {
  CLI::App* provision = app.add_subcommand("provision", "create a federation: CA, server, lead");
  provision->add_option("--name", a.provision.name, "name of the federation")->required();
  provision->add_option("--dir", a.provision.directory, "directory to create")->required();
  provision->add_option("--host", a.provision.hosts, "DNS name or address of the server")
      ->required();
  provision->add_option("--port", a.provision.port)
      ->capture_default_str()
      ->check(CLI::Range(1, 65535));
  provision->add_option("--listen", a.provision.listen, "address to listen on")
      ->capture_default_str();
  provision->add_option("--data-dir", a.provision.data_dir,
                        "the server's data_dir, where it is not to be beside its file");
  provision->add_option("--lead", a.provision.lead, "name of the first lead")
      ->capture_default_str();
  runs[provision] = [&a] { return ProvisionCommand(a.global, a.provision); };

  CLI::App* token = app.add_subcommand("token", "make a one-time token that lets a member join");
  token->add_option("--name", a.token.name, "name of the member")->required();
  token->add_option("--role", a.token.role)
      ->capture_default_str()
      ->check(CLI::IsMember({"site", "lead", "observer", "admin"}));
  token->add_option("--valid", a.token.valid, "for example 90m, 24h, 7d")->capture_default_str();
  runs[token] = [&a] { return TokenCommand(a.global, a.token); };

  CLI::App* join = app.add_subcommand("join", "join as a person; the key is made in --profile");
  join->add_option("--server", a.join.server, "host:port")->required();
  join->add_option("--token", a.join.token.token,
                   "others on the machine see it here: without it --token-file, or it is asked for")
      ->envname("TRIBUTARY_TOKEN");
  join->add_option("--token-file", a.join.token.file, "a file that holds it; -: standard input");
  join->add_option("--server-name", a.join.server_name,
                   "name in the server's certificate, where --server is a tunnel or an alias");
  join->add_option("--ca-fingerprint", a.join.ca_fingerprint, "SHA256:...")->required();
  runs[join] = [&a] { return JoinCommand(a.global, a.join); };

  CLI::App* sites = app.add_subcommand("sites", "list sites");
  runs[sites] = [&a] { return SitesCommand(a.global); };
}

void AddChangingCommands(CLI::App& app, Arguments& a, std::map<CLI::App*, Run>& runs) {
  CLI::App* watch = app.add_subcommand("watch", "follow a campaign to its end");
  watch->add_option("campaign", a.watch.campaign)->required();
  watch->add_option("--timeout", a.watch.timeout,
                    "for example 90m; then exit code 8, or 9 if paused");
  watch->add_flag("--until-paused", a.watch.until_paused, "end with exit code 9 when it pauses");
  runs[watch] = [&a] { return WatchCommand(a.global, a.watch); };

  CLI::App* resume = app.add_subcommand("resume", "go on; failed sites get another try");
  resume->add_option("campaign", a.resume.campaign)->required();
  resume->add_option("--without", a.resume.without, "site that is left out of the open round")
      ->allow_extra_args(false);
  resume->add_flag("--again", a.resume.again, "ask all sites of the open round for it once more");
  runs[resume] = [&a] { return ResumeCommand(a.global, a.resume); };

  CLI::App* drop = app.add_subcommand("drop", "go on without these sites, for good");
  drop->add_option("campaign", a.change.campaign)->required();
  drop->add_option("sites", a.change.sites)->required();
  runs[drop] = [&a] { return DropCommand(a.global, a.change); };

  CLI::App* change = app.add_subcommand("change", "rounds and deadline of a live campaign");
  change->add_option("campaign", a.change.campaign)->required();
  change->add_option("--rounds", a.change.rounds, "at most what the sites agreed to")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}));
  change->add_option("--deadline", a.change.deadline, "of a round, for example 2h; 0s: none");
  runs[change] = [&a] { return ChangeCommand(a.global, a.change); };
}

void AddCampaignCommands(CLI::App& app, Arguments& a, std::map<CLI::App*, Run>& runs) {
  const auto with_file = [&](const char* name, const char* text,
                             int (*command)(const GlobalOptions&, const std::string&)) {
    CLI::App* sub = app.add_subcommand(name, text);
    sub->add_option("file", a.file, "campaign file")->required();
    runs[sub] = [&a, command] { return command(a.global, a.file); };
  };
  const auto with_campaign = [&](const char* name, const char* text,
                                 int (*command)(const GlobalOptions&, const std::string&)) {
    CLI::App* sub = app.add_subcommand(name, text);
    sub->add_option("campaign", a.campaign)->required();
    runs[sub] = [&a, command] { return command(a.global, a.campaign); };
  };
  with_file("submit", "submit a campaign", SubmitCommand);
  with_file("validate", "check a campaign file without submitting it", ValidateCommand);
  runs[app.add_subcommand("list", "list campaigns")] = [&a] { return ListCommand(a.global); };
  CLI::App* show = app.add_subcommand("show", "show a campaign with its rounds");
  show->add_option("campaign", a.show.campaign)->required();
  show->add_option("--rounds", a.show.rounds,
                   "these, as 3, 3..20, 3.. or ..20; default: the newest, as many as one answer of "
                   "the server takes");
  runs[show] = [&a] { return ShowCommand(a.global, a.show); };
  with_campaign("pause", "open no further round", PauseCommand);
  with_campaign("cancel", "end a campaign and its jobs", CancelCommand);
  with_campaign("start", "open the first round with the sites that accepted", StartCommand);
  AddChangingCommands(app, a, runs);
  CLI::App* audit = app.add_subcommand("audit", "print the server's journal");
  audit->add_option("campaign", a.campaign, "only this campaign");
  runs[audit] = [&a] { return AuditCommand(a.global, a.campaign); };
  CLI::App* strategies = app.add_subcommand("strategies", "list what aggregator.kind may be");
  strategies->add_option("kind", a.strategies.kind, "this one, with its options");
  runs[strategies] = [&a] {
    a.strategies.json = a.global.json;
    return StrategiesCommand(a.strategies);
  };
  CLI::App* exported = app.add_subcommand("export", "write a version as a PEFT adapter directory");
  exported->add_option("campaign", a.exported.campaign)->required();
  exported->add_option("--to", a.exported.directory, "directory")->required();
  exported->add_option("--version-number", a.exported.version, "default: the newest")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 53));
  exported->add_flag("--overwrite", a.exported.overwrite, "replace an adapter that is there");
  exported->add_option("--base-model", a.exported.base_model,
                       "path or hub name for base_model_name_or_path");
  runs[exported] = [&a] { return ExportCommand(a.global, a.exported); };
}

int Main(int argc, char** argv) {
  security::RequireTls13();
  security::RouteGrpcLog(LogLevel::kDebug);  // what is wrong is ours to say
  LogOptions log;
  log.level = "warning";
  if (!StartLogging(log).ok()) return kExitFailed;
  CLI::App app("tributary: federated fine-tuning across HPC centers");
  Arguments a;
  std::map<CLI::App*, Run> runs;
  app.add_option("--profile", a.global.profile, "directory with profile.yaml and keys")
      ->envname("TRIBUTARY_PROFILE");
  app.add_flag("--json", a.global.json, "print JSON");
  app.set_version_flag("--version", kVersion);
  AddSelfDescription(&app, kVersion);
  app.require_subcommand(1);
  app.fallthrough();  // --json and --profile may also follow the command
  AddMemberCommands(app, a, runs);
  AddCampaignCommands(app, a, runs);
  CLI::App* demo = app.add_subcommand("demo", "a federation of three sites on this machine");
  AddDemoOptions(*demo, &a.demo);
  runs[demo] = [&a] { return DemoCommand(a.global, a.demo); };
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Parsing may have ended before it came to --json.
    const bool json = std::any_of(
        argv + 1, argv + argc, [](const char* word) { return std::string_view(word) == "--json"; });
    if (json && error.get_exit_code() != 0) {
      return Fail(InvalidArgumentError(std::string(error.get_name()) + ": " + error.what()), true);
    }
    const int code = app.exit(error);
    return code == 0 ? kExitOk : kExitUsage;
  }
  if (a.global.profile.empty()) a.global.profile = DefaultProfileDirectory();
  for (const auto& [command, run] : runs) {
    if (command->parsed()) return run();
  }
  return kExitUsage;
}

}  // namespace
}  // namespace tributary::cli

int main(int argc, char** argv) { return tributary::cli::Main(argc, argv); }
