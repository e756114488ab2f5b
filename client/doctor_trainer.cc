#include "client/doctor_trainer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <sstream>

#include "client/python_packages.h"
#include "client/trainer_command.h"
#include "core/files.h"
#include "core/json.h"
#include "core/text.h"
#include "scheduler_adapters/command_runner.h"

namespace tributary::client {
namespace {

using nlohmann::json;
using scheduler_adapters::CommandResult;

constexpr std::size_t kExcerpt = 300;
constexpr std::size_t kMaxConflicts = 40;

std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(std::move(line));
  return lines;
}

std::vector<std::string> MissingModules(const std::string& err) {
  std::vector<std::string> missing;
  for (const std::string& line : LinesOf(err)) {
    if (line.starts_with(kModuleMark)) missing.push_back(line.substr(kModuleMark.size()));
  }
  return missing;
}

// What a program says that does not get as far as its own command line.
bool NeverStarted(const CommandResult& result) {
  if (result.exit_status >= 126) return true;  // no such program, not executable, or a signal
  for (const std::string_view sign :
       {"ModuleNotFoundError", "ImportError", "error while loading shared libraries",
        "cannot import name", "No module named"}) {
    if (result.err.find(sign) != std::string::npos) return true;
  }
  return false;
}

std::string FirstLines(const CommandResult& result) {
  constexpr std::size_t kLines = 3;
  std::string text;
  std::size_t count = 0;
  for (const std::string& line : LinesOf(result.out.empty() ? result.err : result.out)) {
    if (line.empty() || count == kLines) continue;
    ++count;
    text += (text.empty() ? "" : "; ") + line;
  }
  return text.empty() ? "it says nothing" : Excerpt(text, kExcerpt);
}

Check JudgeVersion(const CommandResult& result, std::chrono::seconds limit) {
  const std::string name = "trainer";
  if (result.timed_out) {
    return Warned(name, "`version` did not end within " + std::to_string(limit.count()) + " s",
                  "run it by hand as a job would; a start that slow costs every task");
  }
  if (result.ok()) return Passed(name, FirstLines(result));
  if (NeverStarted(result)) {
    return Failed(name, "it does not start: " + result.Summary(),
                  "correct job.trainer, job.environment, job.modules or job.setup until it starts "
                  "here; if it needs a compute node, try it in a job");
  }
  return Warned(name, "it starts, but does not know `version`: " + result.Summary(),
                "nothing to do if train and evaluate work; `version` should print versions");
}

bool IsPythonName(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  return name.starts_with("python") &&
         name.find_first_not_of("0123456789.t", std::string_view("python").size()) == name.npos;
}

// "#!/usr/bin/env -S python3 -u", "#!/opt/env/bin/python", and what installers write when the path
// is too long for such a line: "#!/bin/sh" and "'''exec' /long/path/bin/python "$0" "$@"".
std::vector<std::string> InterpreterIn(const std::string& script) {
  const std::vector<std::string> lines = LinesOf(script);
  if (lines.empty() || !lines[0].starts_with("#!")) return {};
  std::vector<std::string> words = SplitWords(lines[0].substr(2));
  if (lines.size() > 1 && lines[1].starts_with("'''exec'")) words = SplitWords(lines[1].substr(8));
  const auto found = std::find_if(words.begin(), words.end(),
                                  [](const std::string& word) { return IsPythonName(word); });
  return found == words.end() ? std::vector<std::string>() : std::vector<std::string>{*found};
}

std::string VersionsLine(const json& report) {
  std::string text = "Python " + report.value("python", std::string("?"));
  const json versions = report.value("versions", json::object());
  for (const auto& [package, version] : versions.items()) {
    if (version.is_string()) text += ", " + package + " " + version.get<std::string>();
  }
  return Excerpt(text, kExcerpt);
}

Check ConflictCheck(const json& conflict) {
  const std::string text = Excerpt(conflict.value("text", std::string("?")), kExcerpt);
  if (conflict.value("used", true)) {
    return Failed("conflict", text,
                  "install versions that fit together, in an environment of its own for the "
                  "trainer; then run doctor again");
  }
  return Warned("conflict", text,
                "the trainer may not need it; an environment of its own is safer");
}

Checks JudgePackages(const json& report) {
  const std::string name = "Python packages";
  const std::string versions = VersionsLine(report);
  if (report.contains("trouble")) {
    return {Warned(name,
                   versions + "; " + Excerpt(report.value("trouble", std::string()), kExcerpt),
                   "install `packaging` or `pip` beside the trainer, or run `pip check` by hand")};
  }
  const json conflicts = report.value("conflicts", json::array());
  Checks checks = {Passed(name, versions + (conflicts.empty() ? "; no conflicts" : ""))};
  for (const json& conflict : conflicts) {
    if (checks.size() > kMaxConflicts) {
      checks.push_back(Warned("conflict", "and more", "see them with: pip check"));
      break;
    }
    checks.push_back(ConflictCheck(conflict));
  }
  return checks;
}

Result<json> ReadReport(const CommandResult& result) {
  for (const std::string& line : LinesOf(result.out)) {
    if (!line.starts_with(kPackagesMark)) continue;
    TRIBUTARY_ASSIGN_OR_RETURN(json report,
                               ParseJson(line.substr(kPackagesMark.size()), "the packages"));
    if (report.is_object()) return report;
  }
  return UnavailableError(result.Summary());
}

}  // namespace

Checks CheckTrainer(const ClientConfig& config, std::chrono::seconds limit) {
  std::vector<std::string> words = config.job.trainer;
  words.emplace_back("version");
  const auto result = RunLikeAJob(config, words, {}, limit);
  if (!result.ok()) {
    return {Failed("trainer", result.status().message(), "jobs need /bin/bash and /usr/bin/env")};
  }
  Checks checks;
  for (const std::string& module : MissingModules(result->err)) {
    checks.push_back(Failed("module", module + " cannot be loaded",
                            "correct job.modules; see what there is with: module avail"));
  }
  checks.push_back(JudgeVersion(*result, limit));
  return checks;
}

std::vector<std::string> PythonOf(const JobSection& job) {
  std::vector<std::string> words;
  if (IsPythonName(job.trainer[0])) {
    words = {job.trainer[0]};
    // Options that decide where packages are found.
    for (std::size_t i = 1; i < job.trainer.size(); ++i) {
      const std::string& option = job.trainer[i];
      if (option != "-I" && option != "-E" && option != "-s" && option != "-S") break;
      words.push_back(option);
    }
    return words;
  }
  if (job.container) return words;  // its files are not seen from here
  constexpr std::size_t kFirstBytes = 4096;
  const auto file = OpenFile(job.trainer[0], O_RDONLY);
  std::string start(kFirstBytes, '\0');
  const ssize_t got = file.ok() ? read(file->get(), start.data(), start.size()) : 0;
  start.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return InterpreterIn(start);
}

Checks CheckPythonPackages(const ClientConfig& config, std::chrono::seconds limit) {
  const std::string name = "Python packages";
  std::vector<std::string> words = PythonOf(config.job);
  if (words.empty()) {
    return {Skipped(name, "the trainer is no Python program, as far as can be seen")};
  }
  words.insert(words.end(), {"-c", kPackagesProgram});
  const auto result = RunLikeAJob(config, words, {}, limit);
  const std::string advice = "look at it by hand: " + words[0] + " -m pip check";
  if (!result.ok()) return {Warned(name, result.status().message(), advice)};
  const auto report = ReadReport(*result);
  if (!report.ok()) {
    return {Warned(name, words[0] + " does not say: " + report.status().message(), advice)};
  }
  try {
    return JudgePackages(*report);
  } catch (const json::exception& error) {  // a value of another type than the program writes
    return {Warned(name, error.what(), advice)};
  }
}

}  // namespace tributary::client
