#include "client/site_search.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "core/child_process.h"
#include "core/files.h"
#include "core/json.h"
#include "core/text.h"
#include "core/user.h"
#include "scheduler_adapters/command_runner.h"

namespace tributary::client {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxConfig = std::size_t{1} << 20;
constexpr std::size_t kMaxEntries = 10'000;  // of one root: a home may be anything
constexpr std::chrono::seconds kInterpreterLimit{30};
constexpr std::string_view kHubPrefix = "models--";

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string NameFor(std::string_view directory_name) {
  std::string name;
  for (const char c : directory_name.substr(0, 64)) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_';
    name += plain ? static_cast<char>(std::tolower(static_cast<unsigned char>(c))) : '-';
  }
  return name;
}

std::vector<std::string> Entries(const std::string& directory) {
  auto names = ListDirectory(directory);
  if (!names.ok() || names->size() > kMaxEntries) return {};
  return *std::move(names);
}

std::optional<FoundModel> LookAt(const std::string& directory, std::string_view name) {
  const auto text = ReadFile(JoinPath(directory, "config.json"), kMaxConfig);
  if (!text.ok()) return std::nullopt;
  FoundModel model{NameFor(name), directory, "", 0};
  bool weights = false;
  for (const std::string& file : Entries(directory)) {
    if (!file.ends_with(".safetensors")) continue;
    const auto size = FileSize(JoinPath(directory, file));
    if (!size.ok()) continue;
    weights = true;
    model.bytes += *size;
  }
  if (!weights) return std::nullopt;
  const auto config = ParseJson(*text, "config.json");
  if (config.ok() && config->is_object() && config->contains("model_type") &&
      (*config)["model_type"].is_string()) {
    model.type = Excerpt((*config)["model_type"].get<std::string>(), 40);
  }
  return model;
}

// Of models--ORG--NAME: the snapshot that is in use.
std::optional<FoundModel> LookAtHub(const std::string& directory, std::string_view entry) {
  const std::string_view name = entry.substr(std::min(entry.size(), entry.rfind("--") + 2));
  const std::string snapshots = JoinPath(directory, "snapshots");
  std::vector<std::string> revisions = Entries(snapshots);
  if (auto current = ReadFile(JoinPath(directory, "refs/main"), 200); current.ok()) {
    current->erase(std::min(current->size(), current->find_first_of(" \r\n")));
    std::stable_partition(revisions.begin(), revisions.end(),
                          [&](const std::string& revision) { return revision == *current; });
  }
  for (const std::string& revision : revisions) {
    if (auto model = LookAt(JoinPath(snapshots, revision), name)) return model;
  }
  return std::nullopt;
}

// Interpreters, the likeliest first: an active environment's, then the PATH's.
std::vector<std::string> Interpreters() {
  std::vector<std::string> found;
  const auto add = [&](const std::string& path) {
    if (access(path.c_str(), X_OK) != 0) return;
    if (std::find(found.begin(), found.end(), path) == found.end()) found.push_back(path);
  };
  for (const char* variable : {"VIRTUAL_ENV", "CONDA_PREFIX"}) {
    if (const std::string prefix = Variable(variable); !prefix.empty()) {
      add(JoinPath(prefix, "bin/python"));
    }
  }
  add(JoinPath(ProgramDirectory(), "python"));  // the wheel is in an environment of its own
  std::string path = Variable("PATH");
  for (std::string_view rest = path; !rest.empty();) {
    const std::string_view directory = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), directory.size() + 1));
    if (directory.starts_with('/')) add(JoinPath(directory, "python3"));
  }
  return found;
}

bool HasPackages(const std::string& interpreter) {
  scheduler_adapters::CommandRunnerOptions options;
  options.timeout = kInterpreterLimit;
  options.whole_tree = true;
  scheduler_adapters::CommandRunner runner(options);
  const auto result = runner.Run({interpreter, "-c", "import peft, torch, transformers"});
  return result.ok() && result->ok();
}

}  // namespace

std::vector<FoundModel> FindModels(const std::vector<std::string>& roots) {
  std::vector<FoundModel> models;
  std::set<fs::path> seen;
  for (const std::string& root : roots) {
    for (const std::string& entry : Entries(root)) {
      const std::string directory = JoinPath(root, entry);
      auto model =
          entry.starts_with(kHubPrefix) ? LookAtHub(directory, entry) : LookAt(directory, entry);
      if (!model) continue;
      std::error_code ignored;
      if (!seen.insert(fs::weakly_canonical(model->directory, ignored)).second) continue;
      const std::string name = model->name;
      for (int number = 2;
           std::any_of(models.begin(), models.end(),
                       [&](const FoundModel& other) { return other.name == model->name; });
           ++number) {
        model->name = name + "-" + std::to_string(number);
      }
      models.push_back(*std::move(model));
    }
  }
  std::stable_sort(models.begin(), models.end(),
                   [](const FoundModel& a, const FoundModel& b) { return a.name < b.name; });
  return models;
}

std::vector<std::string> ModelRoots() {
  std::vector<std::string> roots;
  const auto add = [&](const std::string& root) {
    if (root.starts_with('/') && std::find(roots.begin(), roots.end(), root) == roots.end()) {
      roots.push_back(root);
    }
  };
  add(Variable("HF_HUB_CACHE"));
  if (const std::string home = Variable("HF_HOME"); !home.empty()) add(JoinPath(home, "hub"));
  if (const std::string home = CurrentUser().home; !home.empty()) {
    add(JoinPath(home, ".cache/huggingface/hub"));
    add(JoinPath(home, "models"));
  }
  return roots;
}

std::vector<FoundTrainer> FindTrainers(bool accelerators) {
  std::vector<FoundTrainer> trainers;
  const std::string native = JoinPath(ProgramDirectory(), "tributary-trainer");
  if (access(native.c_str(), X_OK) == 0) {
    trainers.push_back({{native}, "the native trainer, on CPUs", false});
  }
  const std::string script =
      fs::path(JoinPath(ProgramDirectory(), "../share/tributary/trainers/peft/tributary_peft.py"))
          .lexically_normal();
  if (!PathExists(script)) return trainers;
  for (const std::string& interpreter : Interpreters()) {
    if (!HasPackages(interpreter)) continue;
    const auto place = accelerators ? trainers.begin() : trainers.end();
    trainers.insert(place, {{interpreter, script}, "transformers and PEFT, on GPUs or CPUs", true});
    break;
  }
  return trainers;
}

std::string SharedDirectory(bool batch) {
  if (!batch) return "";
  for (const char* variable : {"SCRATCH", "WORK"}) {
    const std::string directory = Variable(variable);
    if (directory.starts_with('/') && access(directory.c_str(), W_OK) == 0) {
      return JoinPath(directory, "tributary-work");
    }
  }
  return "";
}

}  // namespace tributary::client
