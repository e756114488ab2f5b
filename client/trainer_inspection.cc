#include "client/trainer_inspection.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "client/trainer_command.h"
#include "core/files.h"
#include "core/json.h"
#include "core/peft_adapter.h"
#include "core/text.h"

namespace tributary::client {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxText = 2000;
constexpr std::size_t kMaxFindings = 1000;

std::string TextOf(const json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? Printable(it->get<std::string>(), kMaxText) : "";
}

Outcome OutcomeOf(const std::string& name) {
  if (name == "ok") return Outcome::kOk;
  return name == "failed" ? Outcome::kFailed : Outcome::kWarning;
}

int Severity(Outcome outcome) {
  return outcome == Outcome::kFailed ? 2 : outcome == Outcome::kWarning ? 1 : 0;
}

}  // namespace

const Inspection::Finding* Inspection::Worst(const std::vector<std::string_view>& whats,
                                             std::string_view path) const {
  const Finding* worst = nullptr;
  for (const Finding& finding : findings) {
    if (std::find(whats.begin(), whats.end(), finding.what) == whats.end()) continue;
    if (!path.empty() && finding.path != path) continue;
    if (worst == nullptr || Severity(finding.outcome) > Severity(worst->outcome)) worst = &finding;
  }
  return worst;
}

Result<Inspection> ParseInspection(std::string_view output) {
  while (output.ends_with('\n') || output.ends_with('\r')) output.remove_suffix(1);
  const std::string_view line = output.substr(output.rfind('\n') + 1);
  TRIBUTARY_ASSIGN_OR_RETURN(const json answer, ParseJson(line, "the trainer's answer"));
  if (!answer.is_object() || !answer.contains("checks") || !answer["checks"].is_array()) {
    return InvalidArgumentError("the trainer's answer is no inspection");
  }
  Inspection inspection;
  if (const auto it = answer.find("abilities"); it != answer.end() && it->is_array()) {
    auto& abilities = inspection.abilities.emplace();
    for (const json& ability : *it) {
      if (ability.is_string()) abilities.insert(ability.get<std::string>());
    }
  }
  for (const json& check : answer["checks"]) {
    if (!check.is_object() || inspection.findings.size() == kMaxFindings) break;
    inspection.findings.push_back({TextOf(check, "what"), TextOf(check, "path"),
                                   OutcomeOf(TextOf(check, "outcome")), TextOf(check, "found")});
  }
  return inspection;
}

Result<Inspection> InspectWithTrainer(const ClientConfig& config, const InspectionRequest& request,
                                      std::chrono::seconds limit) {
  if (!config.job.inspect) return UnavailableError("inspect: job.inspect is false");
  TRIBUTARY_ASSIGN_OR_RETURN(const auto scratch, TemporaryDirectory::Create("tributary-inspect-"));
  std::vector<std::string> words = config.job.trainer;
  words.insert(words.end(), {"inspect", "--json", "--model", request.model});
  std::vector<std::string> paths = {request.model};
  if (!request.adapter_config_json.empty()) {
    TRIBUTARY_RETURN_IF_ERROR(
        WriteFileAtomic(JoinPath(scratch.path(), kAdapterConfigFile), request.adapter_config_json));
    words.insert(words.end(), {"--adapter", scratch.path()});
    paths.push_back(scratch.path());
  }
  for (const std::string& data : request.data) {
    words.insert(words.end(), {"--data", data});
    paths.push_back(data);
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const auto result, RunLikeAJob(config, words, paths, limit));
  if (result.timed_out) return UnavailableError("inspect: " + result.Summary());
  auto inspection = ParseInspection(result.out);
  if (!inspection.ok()) return UnavailableError("inspect: " + result.Summary());
  return inspection;
}

}  // namespace tributary::client
