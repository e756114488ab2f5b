#include "client/doctor_policy.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "client/doctor_files.h"
#include "core/files.h"
#include "core/json.h"
#include "core/safetensors.h"
#include "core/text.h"

namespace tributary::client {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxLine = std::size_t{4} << 20;
constexpr std::size_t kShownNames = 8;
constexpr const char* kIndexFile = "model.safetensors.index.json";

template <typename Names>
std::string Listed(const Names& names) {
  std::string text;
  std::size_t shown = 0;
  for (const auto& name : names) {
    if (shown++ == kShownNames) return text + ", ...";
    text += (text.empty() ? "" : ", ") + name;
  }
  return text.empty() ? "none" : text;
}

template <typename Map>
std::vector<std::string> KeysOf(const Map& map) {
  std::vector<std::string> keys;
  keys.reserve(map.size());
  for (const auto& [key, value] : map) keys.push_back(key);
  return keys;
}

bool AllowsAll(const std::vector<std::string>& patterns) {
  return std::find(patterns.begin(), patterns.end(), "*") != patterns.end();
}

// Every file that an index names, or every *.safetensors of the directory.
Result<std::set<std::string>> WeightFiles(const std::string& directory) {
  std::set<std::string> files;
  const std::string index = JoinPath(directory, kIndexFile);
  if (!PathExists(index)) {
    TRIBUTARY_ASSIGN_OR_RETURN(const auto names, ListDirectory(directory));
    for (const std::string& name : names) {
      if (name.ends_with(".safetensors")) files.insert(name);
    }
    return files;
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const json text, ReadJsonFile(index));
  if (!text.is_object() || !text.contains("weight_map") || !text["weight_map"].is_object()) {
    return InvalidArgumentError(index + ": has no weight_map");
  }
  for (const auto& [tensor, file] : text["weight_map"].items()) {
    if (!file.is_string() || file.get<std::string>().find('/') != std::string::npos) {
      return InvalidArgumentError(index + ": " + Excerpt(tensor) + " names no file");
    }
    files.insert(file.get<std::string>());
  }
  return files;
}

struct Weights {
  std::size_t files = 0, tensors = 0;
  std::uint64_t bytes = 0;
};

Result<Weights> ReadWeights(const std::string& directory) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto files, WeightFiles(directory));
  if (files.empty()) return NotFoundError(directory + ": no *.safetensors file");
  Weights weights;
  weights.files = files.size();
  for (const std::string& file : files) {
    const std::string path = JoinPath(directory, file);
    TRIBUTARY_ASSIGN_OR_RETURN(const auto mapped, MappedFile::Open(path));
    const auto header = ParseSafetensorsHeader(mapped.bytes(), mapped.bytes().size());
    if (!header.ok()) return header.status().Annotate(path);
    weights.tensors += header->tensors.size();
    weights.bytes += header->file_bytes;
  }
  return weights;
}

std::string ModelType(const json& config) {
  if (!config.is_object() || !config.contains("model_type")) return {};
  const json& type = config["model_type"];
  return type.is_string() ? Excerpt(type.get<std::string>(), 40) + ", " : "";
}

Result<std::string> FirstLine(const std::string& path) {
  TRIBUTARY_ASSIGN_OR_RETURN(const FileDescriptor file, OpenFile(path, O_RDONLY));
  std::string line;
  std::string piece(std::size_t{64} << 10, '\0');
  while (line.size() <= kMaxLine) {
    const ssize_t got = read(file.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoError("read " + path, errno);
    if (got == 0) return line;
    const std::string_view part(piece.data(), static_cast<std::size_t>(got));
    line += part.substr(0, part.find('\n'));
    if (part.find('\n') != part.npos) return line;
  }
  return InvalidArgumentError(path + ":1: is longer than " + SizeText(kMaxLine));
}

bool HasText(const json& object, const char* key) {
  return object.contains(key) && object[key].is_string();
}

Result<std::string> DescribeData(const std::string& path) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string line, FirstLine(path));
  if (line.empty()) return InvalidArgumentError(path + ": its first line is empty");
  TRIBUTARY_ASSIGN_OR_RETURN(const json example, ParseJson(line, path + ":1"));
  if (!example.is_object()) return InvalidArgumentError(path + ":1: is not a JSON object");
  TRIBUTARY_ASSIGN_OR_RETURN(const std::uint64_t bytes, FileSize(path));
  std::string form;
  if (HasText(example, "text")) form = "text";
  if (HasText(example, "prompt") && HasText(example, "completion")) form = "prompt and completion";
  if (HasText(example, "instruction") && HasText(example, "output")) form = "instructions";
  if (example.contains("messages") && example["messages"].is_array()) form = "conversations";
  if (form.empty()) {
    return NotFoundError(path +
                         ":1: has neither \"text\" nor \"prompt\" and \"completion\", "
                         "\"instruction\" and \"output\" or \"messages\"");
  }
  return path + ": " + SizeText(bytes) + ", " + form;
}

Check ModelCheck(const std::string& name, const std::string& directory) {
  const std::string what = "model " + name;
  const std::string advice = "correct policy.models." + name +
                             ": a directory with config.json and the weights as *.safetensors, "
                             "readable for this user";
  const auto config = ReadJsonFile(JoinPath(directory, "config.json"));
  if (!config.ok()) return Failed(what, config.status().message(), advice);
  const auto weights = ReadWeights(directory);
  if (!weights.ok()) return Failed(what, weights.status().message(), advice);
  return Passed(what, directory + ": " + ModelType(*config) + std::to_string(weights->tensors) +
                          " tensors in " + std::to_string(weights->files) +
                          (weights->files == 1 ? " file, " : " files, ") +
                          SizeText(weights->bytes));
}

// What the trainer found, as a line of ours.
Check ToCheck(const std::string& what, const Inspection::Finding& finding,
              const std::string& advice) {
  const bool told = finding.found.starts_with(finding.path);
  const std::string found = told ? finding.found : finding.path + ": " + finding.found;
  return {what, finding.outcome, found, finding.outcome == Outcome::kOk ? "" : advice};
}

Check DataCheck(const std::string& name, const std::string& path) {
  const std::string what = "data " + name;
  const auto found = DescribeData(path);
  if (found.ok()) return Passed(what, *found);
  if (found.status().code() == StatusCode::kNotFound && PathExists(path)) {
    // Another trainer than the native one may read another form.
    return Warned(what, found.status().message(),
                  "the native trainer needs one of these forms: docs/task_directory.md");
  }
  return Failed(what, found.status().message(),
                "correct policy.data." + name + ": a readable file with one JSON object a line");
}

}  // namespace

Checks CheckPolicy(const ClientConfig& config) {
  const std::string name = "policy";
  if (!config.policy) {
    return {Warned(name, "none: every campaign is refused", "write the policy section")};
  }
  const PolicySection& policy = *config.policy;
  const std::string found =
      "campaigns " + Listed(policy.campaigns) + " led by " + Listed(policy.leads) + "; models " +
      Listed(KeysOf(policy.models)) + "; data " + Listed(KeysOf(policy.data)) + "; at most " +
      std::to_string(policy.max_walltime.count()) + " s, " + std::to_string(policy.max_steps) +
      " steps, updates of " + SizeText(policy.max_update.bytes);
  if (policy.campaigns.empty() || policy.leads.empty() || policy.models.empty() ||
      policy.data.empty()) {
    return {Warned(name, found + ": no campaign can be accepted",
                   "name campaigns, leads, models and data in policy")};
  }
  Checks checks = {Passed(name, found)};
  const auto open = [&](const std::vector<std::string>& patterns, const std::string& key,
                        const std::string& meaning) {
    if (!AllowsAll(patterns)) return;
    checks.push_back(Warned("policy." + key, "\"*\": " + meaning, "name them, if you can"));
  };
  open(policy.campaigns, "campaigns", "every campaign of its leads is accepted");
  open(policy.leads, "leads", "everybody who leads in this federation may run jobs here");
  open(policy.metrics, "metrics", "every number that a trainer reports may leave");
  return checks;
}

Inspections AskTrainerOfAll(const ClientConfig& config, std::chrono::seconds limit) {
  Inspections said;
  if (!config.policy || config.job.trainer.empty()) return said;
  InspectionRequest request;
  for (const auto& [name, path] : config.policy->data) request.data.push_back(path);
  for (const auto& [name, path] : config.policy->models) {
    request.model = path;
    auto inspection = InspectWithTrainer(config, request, limit);
    if (!inspection.ok()) break;  // nor would it of the others
    said.emplace(name, *std::move(inspection));
  }
  return said;
}

Checks CheckModels(const ClientConfig& config, const Inspections& said) {
  Checks checks;
  if (!config.policy) return checks;
  for (const auto& [name, path] : config.policy->models) {
    const auto it = said.find(name);
    const auto* worst =
        it == said.end() ? nullptr : it->second.Worst({"model", "tokenizer", "adapter"});
    checks.push_back(worst == nullptr ? ModelCheck(name, path)
                                      : ToCheck("model " + name, *worst,
                                                "correct policy.models." + name +
                                                    ", or the model: docs/models.md says what "
                                                    "the trainer reads"));
  }
  return checks;
}

Checks CheckData(const ClientConfig& config, const Inspections& said) {
  Checks checks;
  if (!config.policy) return checks;
  for (const auto& [name, path] : config.policy->data) {
    const Inspection::Finding* worst = nullptr;
    for (const auto& [model, inspection] : said) {
      const auto* finding = inspection.Worst({"data"}, path);
      if (finding == nullptr) continue;
      if (worst == nullptr || worst->outcome == Outcome::kOk ||
          finding->outcome == Outcome::kFailed) {
        worst = finding;
      }
    }
    checks.push_back(worst == nullptr
                         ? DataCheck(name, path)
                         : ToCheck("data " + name, *worst,
                                   "correct policy.data." + name +
                                       " or the file; docs/data.md says what the trainer reads, "
                                       "`max_bad_lines` of a campaign leaves lines out"));
  }
  return checks;
}

}  // namespace tributary::client
