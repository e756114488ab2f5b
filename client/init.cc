#include "client/init.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "client/client_config.h"
#include "client/join.h"
#include "client/site_draft.h"
#include "client/site_search.h"
#include "core/endpoint.h"
#include "core/files.h"
#include "core/text.h"
#include "core/user.h"
#include "scheduler_adapters/queue_survey.h"

namespace tributary::client {
namespace {

using scheduler_adapters::QueueOffer;
using scheduler_adapters::QueueSurvey;
using scheduler_adapters::SchedulerOptions;

constexpr std::chrono::seconds kUsualWalltime{3600};
constexpr std::chrono::seconds kCommandLimit{20};  // a person waits
constexpr std::int64_t kMostCpus = 4096, kMostGpus = 1024;

std::optional<std::int64_t> WholeNumber(const std::string& text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Questions::Check Whole(std::int64_t least, std::int64_t most) {
  return [=](std::string* answer) -> Status {
    const auto number = WholeNumber(*answer);
    if (number && *number >= least && *number <= most) return OkStatus();
    return InvalidArgumentError("\"" + *answer + "\" is no number from " + std::to_string(least) +
                                " to " + std::to_string(most));
  };
}

Status ChooseFrom(const std::vector<std::string>& names, const std::string& what,
                  const std::string* answer) {
  if (std::find(names.begin(), names.end(), *answer) != names.end()) return OkStatus();
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  return InvalidArgumentError("there is no " + what + " \"" + *answer + "\"; there are " + list);
}

Status CheckWrittenPath(std::string* answer) {
  if (answer->empty()) return InvalidArgumentError("a path is needed");
  if (answer->starts_with('~') || answer->find('$') != std::string::npos) {
    return InvalidArgumentError("\"" + *answer +
                                "\": ~ and $HOME are not expanded here; write the whole path");
  }
  return OkStatus();
}

Status CheckServerAddress(std::string* answer) {
  if (answer->empty()) return InvalidArgumentError("give --server host:port");
  if (SplitHostAndPort(*answer)) return OkStatus();
  return InvalidArgumentError("\"" + *answer + "\" is not host:port");
}

// Of "NAME=PATH", the path made absolute.
Result<std::pair<std::string, std::string>> NamedPath(const std::string& text, bool is_model) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    return InvalidArgumentError("\"" + text +
                                "\" is not NAME=" + (is_model ? "DIRECTORY" : "FILE"));
  }
  std::string path = text.substr(equals + 1);
  TRIBUTARY_RETURN_IF_ERROR(CheckWrittenPath(&path));
  std::error_code trouble;
  const std::filesystem::path whole = std::filesystem::absolute(path, trouble).lexically_normal();
  if (is_model && !PathExists(whole / "config.json")) {
    return InvalidArgumentError(whole.string() + " has no config.json: no model's directory");
  }
  if (!is_model && access(whole.c_str(), R_OK) != 0) {
    return InvalidArgumentError(whole.string() + " cannot be read: JSON lines are wanted");
  }
  return std::pair(text.substr(0, equals), whole.string());
}

std::string SizeText(const FoundModel& model) {
  char text[64];
  std::snprintf(text, sizeof text, "%.1f GB", static_cast<double>(model.bytes) / 1e9);
  return (model.type.empty() ? "" : model.type + ", ") + text;
}

std::int64_t NvidiaDevices() {
  std::int64_t count = 0;
  while (access(("/dev/nvidia" + std::to_string(count)).c_str(), F_OK) == 0) ++count;
  return count;
}

class Interview {
 public:
  Interview(const InitOptions& options, Questions& questions)
      : options_(options), questions_(questions) {}

  Result<SiteDraft> Run(const std::string& known_server) {
    TRIBUTARY_RETURN_IF_ERROR(AskServer(known_server));
    TRIBUTARY_RETURN_IF_ERROR(AskScheduler());
    TRIBUTARY_RETURN_IF_ERROR(AskJob());
    TRIBUTARY_RETURN_IF_ERROR(AskPlaces());
    TRIBUTARY_RETURN_IF_ERROR(AskTrainer());
    TRIBUTARY_RETURN_IF_ERROR(AskModels());
    TRIBUTARY_RETURN_IF_ERROR(AskData());
    TRIBUTARY_RETURN_IF_ERROR(AskPolicy());
    return std::move(draft_);
  }

 private:
  bool batch() const { return draft_.adapter != "local"; }

  // What was given as an option is checked and not asked for.
  Result<std::string> Take(const std::string& given, const std::string& question,
                           const std::string& fallback, const Questions::Check& check) {
    if (given.empty()) return questions_.Ask(question, fallback, check);
    std::string answer = given;
    TRIBUTARY_RETURN_IF_ERROR(check(&answer).Annotate(question));
    return answer;
  }

  Status AskServer(const std::string& known) {
    TRIBUTARY_ASSIGN_OR_RETURN(
        draft_.server,
        Take(options_.server, "server of the federation, host:port", known, CheckServerAddress));
    draft_.server_name = options_.server_name;
    return OkStatus();
  }

  Status AskScheduler() {
    SchedulerOptions scheduler;
    scheduler.command_directory = options_.command_directory;
    scheduler.command_timeout = kCommandLimit;
    const std::string found = scheduler_adapters::FindScheduler(scheduler);
    const std::vector<std::string> known = scheduler_adapters::SchedulerAdapterNames();
    TRIBUTARY_ASSIGN_OR_RETURN(
        draft_.adapter,
        Take(options_.scheduler, "scheduler (local, slurm, pbs)", found,
             [&](std::string* answer) { return ChooseFrom(known, "adapter", answer); }));
    draft_.command_directory = options_.command_directory;
    if (!batch()) return OkStatus();
    scheduler.adapter = draft_.adapter;
    auto survey = scheduler_adapters::SurveyQueues(scheduler);
    if (!survey.ok()) {
      questions_.Say("its queues are not known: " + survey.status().message());
      return OkStatus();
    }
    survey_ = *std::move(survey);
    return OkStatus();
  }

  void ShowQueues() {
    questions_.Say("  queue                 longest  nodes   cpus   gpus");
    for (const QueueOffer& queue : survey_.queues) {
      const auto count = [](std::int64_t number) {
        return number == 0 ? std::string("-") : std::to_string(number);
      };
      char line[200];
      std::snprintf(line, sizeof line, "%c %-20.60s %8s %6s %6s %6s%s",
                    queue.is_default ? '*' : ' ', Printable(queue.name).c_str(),
                    queue.walltime ? FormatDuration(*queue.walltime).c_str() : "-",
                    count(queue.nodes).c_str(), count(queue.cpus).c_str(),
                    count(queue.gpus).c_str(), queue.open ? "" : "  takes no jobs now");
      questions_.Say(line);
    }
  }

  Status AskQueue() {
    const QueueOffer* usual = nullptr;
    std::vector<std::string> names;
    for (const QueueOffer& queue : survey_.queues) {
      names.push_back(queue.name);
      if (queue.is_default || (usual == nullptr && queue.open)) usual = &queue;
    }
    if (!names.empty() && options_.queue.empty() && questions_.asks()) ShowQueues();
    TRIBUTARY_ASSIGN_OR_RETURN(
        draft_.queue, Take(options_.queue, "queue", usual == nullptr ? "" : usual->name,
                           [&](std::string* answer) {
                             return names.empty() ? OkStatus() : ChooseFrom(names, "queue", answer);
                           }));
    for (const QueueOffer& queue : survey_.queues) {
      if (queue.name == draft_.queue) queue_ = queue;
    }
    const std::vector<std::string>& accounts = survey_.accounts;
    if (accounts.size() > 1 && options_.account.empty()) {
      std::string list;
      for (const std::string& account : accounts) list += " " + Printable(account);
      questions_.Say("  accounts:" + list);
    }
    TRIBUTARY_ASSIGN_OR_RETURN(
        draft_.account, Take(options_.account, "account", accounts.empty() ? "" : accounts.front(),
                             [&](std::string* answer) {
                               return accounts.empty() ? OkStatus()
                                                       : ChooseFrom(accounts, "account", answer);
                             }));
    return OkStatus();
  }

  Status AskJob() {
    draft_.directives = options_.directives;
    draft_.modules = options_.modules;
    std::int64_t cpus = std::max(1U, std::thread::hardware_concurrency());
    std::int64_t gpus = NvidiaDevices();
    if (batch()) {
      TRIBUTARY_RETURN_IF_ERROR(AskQueue());
      cpus = std::clamp<std::int64_t>(queue_.cpus, 1, kMostCpus);
      gpus = std::min(queue_.gpus, kMostGpus);
      if (options_.directives.empty()) {
        TRIBUTARY_ASSIGN_OR_RETURN(
            draft_.directives,
            AskLines("what else a job must ask for, as an option of " +
                     std::string(draft_.adapter == "slurm" ? "sbatch (--constraint=gpu)"
                                                           : "qsub (-l filesystems=home)")));
      }
      if (options_.modules.empty()) {
        TRIBUTARY_ASSIGN_OR_RETURN(const std::string modules,
                                   questions_.Ask("modules that a job loads, blanks between", ""));
        draft_.modules = SplitWords(modules);
      }
    }
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string cpus_of_job,
                               Take(options_.cpus ? std::to_string(*options_.cpus) : "",
                                    "cpus of a job", std::to_string(cpus), Whole(1, kMostCpus)));
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string gpus_of_job,
                               Take(options_.gpus ? std::to_string(*options_.gpus) : "",
                                    "gpus of a job", std::to_string(gpus), Whole(0, kMostGpus)));
    draft_.cpus = *WholeNumber(cpus_of_job);
    draft_.gpus = *WholeNumber(gpus_of_job);
    return AskWalltime();
  }

  Status AskWalltime() {
    const std::chrono::seconds usual =
        std::min(kUsualWalltime, queue_.walltime.value_or(kUsualWalltime));
    return Take(options_.walltime, "longest job", FormatDuration(usual),
                [&](std::string* answer) -> Status {
                  TRIBUTARY_ASSIGN_OR_RETURN(const auto time, ParseDuration(*answer));
                  draft_.max_walltime = std::chrono::duration_cast<std::chrono::seconds>(time);
                  if (draft_.max_walltime.count() < 1) {
                    return InvalidArgumentError("\"" + *answer + "\" is less than a second");
                  }
                  if (queue_.walltime && draft_.max_walltime > *queue_.walltime) {
                    return InvalidArgumentError(*answer + " is more than the queue's " +
                                                FormatDuration(*queue_.walltime));
                  }
                  return OkStatus();
                })
        .status();
  }

  // One a line, until an empty one.
  Result<std::vector<std::string>> AskLines(const std::string& question) {
    std::vector<std::string> lines;
    while (questions_.asks()) {
      TRIBUTARY_ASSIGN_OR_RETURN(
          const std::string line,
          questions_.Ask(
              (lines.empty() ? question : std::string("  another one")) + " (Enter: none)", ""));
      if (line.empty()) break;
      lines.push_back(line);
    }
    return lines;
  }

  Status AskPlaces() {
    const std::string shared = SharedDirectory(batch());
    TRIBUTARY_ASSIGN_OR_RETURN(draft_.workspace,
                               Take(options_.workspace, "workspace, which jobs see",
                                    shared.empty() ? "work" : shared, CheckWrittenPath));
    TRIBUTARY_ASSIGN_OR_RETURN(
        draft_.state_dir, Take(options_.state_dir, "the daemon's own directory, on a local disk",
                               "state", CheckWrittenPath));
    return OkStatus();
  }

  Status AskTrainer() {
    const auto executable = [](const std::vector<std::string>& command) -> Status {
      if (command.empty()) return InvalidArgumentError("a trainer is needed: give it after --");
      if (!command[0].starts_with('/')) {
        return InvalidArgumentError("\"" + command[0] + "\" is not an absolute path");
      }
      return OkStatus();  // it may be in a container, or behind a module: doctor runs it
    };
    draft_.trainer = options_.trainer;
    if (!draft_.trainer.empty()) {
      std::error_code ignored;
      if (draft_.trainer[0].find('/') != std::string::npos) {
        draft_.trainer[0] =
            std::filesystem::absolute(draft_.trainer[0], ignored).lexically_normal();
      }
      TRIBUTARY_RETURN_IF_ERROR(executable(draft_.trainer).Annotate("trainer"));
    } else {
      const std::vector<FoundTrainer> found = FindTrainers(draft_.gpus > 0);
      const auto shown = [](const FoundTrainer& trainer) {
        std::string text;
        for (const std::string& word : trainer.command) text += (text.empty() ? "" : " ") + word;
        return text;
      };
      for (std::size_t i = 0; i < found.size() && questions_.asks(); ++i) {
        questions_.Say("  " + std::to_string(i + 1) + "  " + shown(found[i]) + " (" +
                       found[i].description + ")");
      }
      const auto check = [&](std::string* answer) -> Status {
        const auto number = WholeNumber(*answer);
        draft_.trainer =
            number && *number >= 1 && *number <= static_cast<std::int64_t>(found.size())
                ? found[static_cast<std::size_t>(*number - 1)].command
                : SplitWords(*answer);
        return executable(draft_.trainer);
      };
      TRIBUTARY_RETURN_IF_ERROR(
          questions_.Ask("trainer, a command or its number", found.empty() ? "" : "1", check)
              .status());
    }
    // A job sees nothing else of this user.
    draft_.environment = {{"LANG", "C.UTF-8"}, {"HF_HUB_OFFLINE", "1"}, {"PYTHONNOUSERSITE", "1"}};
    if (!batch()) {
      draft_.environment["PATH"] = "/usr/local/bin:/usr/bin:/bin";
      if (const std::string home = CurrentUser().home; !home.empty())
        draft_.environment["HOME"] = home;
    }
    return OkStatus();
  }

  // Entries are NAME=PATH; a number is one of `found`.
  Status AskNamed(const std::vector<std::string>& given, bool is_model,
                  const std::vector<FoundModel>& found, const std::string& question,
                  std::map<std::string, std::string>* entries) {
    const auto add = [&](const std::string& text) -> Status {
      TRIBUTARY_ASSIGN_OR_RETURN(const auto entry, NamedPath(text, is_model));
      (*entries)[entry.first] = entry.second;
      return OkStatus();
    };
    for (const std::string& text : given) {
      TRIBUTARY_RETURN_IF_ERROR(add(text).Annotate(is_model ? "--model" : "--data"));
    }
    while (given.empty() && questions_.asks()) {
      std::string chosen;
      const auto check = [&](std::string* answer) -> Status {
        const auto number = WholeNumber(*answer);
        chosen.clear();
        if (answer->empty()) return OkStatus();
        if (number && *number >= 1 && *number <= static_cast<std::int64_t>(found.size())) {
          chosen = found[static_cast<std::size_t>(*number - 1)].directory;
          return OkStatus();
        }
        return add(*answer);
      };
      TRIBUTARY_ASSIGN_OR_RETURN(
          const std::string answer,
          questions_.Ask(
              (entries->empty() ? question : std::string("  another one")) + " (Enter: none)", "",
              check));
      if (answer.empty()) break;
      if (chosen.empty()) continue;
      const std::string proposed = found[static_cast<std::size_t>(*WholeNumber(answer) - 1)].name;
      TRIBUTARY_ASSIGN_OR_RETURN(const std::string name,
                                 questions_.Ask("  its name in campaigns", proposed));
      (*entries)[name] = chosen;
    }
    return OkStatus();
  }

  Status AskModels() {
    std::vector<FoundModel> found;
    if (questions_.asks() && options_.models.empty()) {
      found = FindModels(ModelRoots());
      for (std::size_t i = 0; i < found.size(); ++i) {
        questions_.Say("  " + std::to_string(i + 1) + "  " + found[i].name + " (" +
                       SizeText(found[i]) + "): " + found[i].directory);
      }
    }
    return AskNamed(options_.models, true, found,
                    "a base model that campaigns may use, NAME=DIRECTORY or its number",
                    &draft_.models);
  }

  Status AskData() {
    return AskNamed(options_.data, false, {}, "data that campaigns may use, NAME=FILE.jsonl",
                    &draft_.data);
  }

  Result<std::vector<std::string>> AskWords(const std::vector<std::string>& given,
                                            const std::string& question) {
    if (!given.empty()) return given;
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string answer, questions_.Ask(question, ""));
    return SplitWords(answer);
  }

  Status AskPolicy() {
    TRIBUTARY_ASSIGN_OR_RETURN(
        draft_.campaigns,
        AskWords(
            options_.campaigns,
            "campaigns that this site takes part in, by name, blanks between (Enter: none yet)"));
    TRIBUTARY_ASSIGN_OR_RETURN(
        draft_.leads, AskWords(options_.leads, "who may lead them, by name (Enter: nobody yet)"));
    char usual[32];
    std::snprintf(usual, sizeof usual, "%g", options_.node_hours.value_or(0));
    return Take(options_.node_hours ? usual : "",
                "node-hours that campaigns may use in all (0: no limit)", "0",
                [&](std::string* answer) -> Status {
                  char* end = nullptr;
                  draft_.node_hours = std::strtod(answer->c_str(), &end);
                  const bool whole = end == answer->c_str() + answer->size() && !answer->empty();
                  if (whole && std::isfinite(draft_.node_hours) && draft_.node_hours >= 0)
                    return OkStatus();
                  return InvalidArgumentError("\"" + *answer + "\" is no number from 0 on");
                })
        .status();
  }

  const InitOptions& options_;
  Questions& questions_;
  SiteDraft draft_;
  QueueSurvey survey_;
  QueueOffer queue_;  // the chosen one
};

Status Enrol(const InitOptions& options, const SiteDraft& draft, Questions& questions) {
  if (PathExists(JoinPath(options.directory, "member.crt"))) return OkStatus();
  std::string fingerprint = options.ca_fingerprint;
  if (fingerprint.empty()) {
    TRIBUTARY_ASSIGN_OR_RETURN(fingerprint,
                               questions.Ask("fingerprint of the federation's authority, "
                                             "SHA256:... (Enter: enroll later, with join)",
                                             ""));
  }
  if (fingerprint.empty()) return OkStatus();
  JoinOptions join;
  join.server = draft.server;
  join.server_name = draft.server_name;
  join.ca_fingerprint = fingerprint;
  join.token = options.token;
  join.directory = options.directory;
  return Join(join);
}

}  // namespace

Result<std::string> Init(const InitOptions& options, Questions& questions) {
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(options.directory).Annotate("--dir"));
  const std::string file = JoinPath(options.directory, "client.yaml");
  std::string known_server;
  const bool there = PathExists(file);
  if (there && !options.replace) {
    return AlreadyExistsError(
        file +
        " is there: change it by hand, or say --replace, which keeps it as client.yaml.before");
  }
  if (there) {
    if (const auto before = LoadClientConfig(file); before.ok()) known_server = before->server;
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const SiteDraft draft,
                             Interview(options, questions).Run(known_server));
  // What does not load replaces nothing.
  const std::string fresh = file + ".new";
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(fresh, SiteFile(draft), 0600));
  if (const auto loaded = LoadClientConfig(fresh); !loaded.ok()) {
    (void)RemoveFile(fresh);
    return loaded.status();
  }
  if (there) TRIBUTARY_RETURN_IF_ERROR(RenameDurably(file, file + ".before"));
  TRIBUTARY_RETURN_IF_ERROR(RenameDurably(fresh, file));
  questions.Say("wrote " + file);
  TRIBUTARY_RETURN_IF_ERROR(
      Enrol(options, draft, questions).Annotate(file + " is written, but not enrolled"));
  return file;
}

}  // namespace tributary::client
