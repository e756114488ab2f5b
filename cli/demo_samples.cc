#include "cli/demo_samples.h"

#include <nlohmann/json.hpp>
#include <sstream>

#include "core/files.h"
#include "core/json.h"
#include "core/text.h"

namespace tributary::cli {
namespace {

using nlohmann::json;

// Of the held-out part of each site's field, in the order of kSiteFields.
constexpr const char* kWords[] = {"amethyst", "macaque", "cystitis"};
constexpr const char* kMaxTokens = "32";
constexpr std::size_t kShownBytes = 160;

// The definition that the field's held-out file has for the prompt.
std::string HeldOutDefinition(const std::string& path, const std::string& prompt) {
  const auto text = ReadFile(path);
  if (!text.ok()) return "";
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    const auto pair = ParseJson(line, path);
    if (pair.ok() && pair->is_object() && pair->value("prompt", "") == prompt) {
      return pair->value("completion", "");
    }
  }
  return "";
}

}  // namespace

std::string FirstLine(const std::string& text, std::size_t max_bytes) {
  constexpr const char* kSpace = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string::npos) return "";
  std::string line = text.substr(begin, text.find('\n', begin) - begin);
  line.erase(line.find_last_not_of(kSpace) + 1);
  return Excerpt(line, max_bytes);
}

Result<std::vector<Sample>> WriteSamples(const DemoPlan& plan, const std::string& adapter,
                                         const TrainerPool& pool) {
  std::vector<Sample> samples;
  std::vector<TrainerRun> runs;
  for (std::size_t i = 0; i < plan.sites.size(); ++i) {
    const std::string prompt = std::string("Define: ") + kWords[i] + "\n";
    samples.push_back(
        {FirstLine(prompt, kShownBytes), HeldOutDefinition(plan.sites[i].heldout, prompt), "", ""});
    for (const bool federated : {false, true}) {
      TrainerRun run;
      run.label = std::string(federated ? "federated" : "base") + " on " + kWords[i];
      run.command = "generate";
      run.directory = plan.run + "/samples/" + kWords[i] + (federated ? "-federated" : "-base");
      run.arguments = {"--model", plan.model_directory, "--prompt",
                       prompt,    "--max-tokens",       kMaxTokens};
      if (federated) run.arguments.insert(run.arguments.end(), {"--adapter", adapter});
      TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(run.directory));
      runs.push_back(std::move(run));
    }
  }
  TRIBUTARY_RETURN_IF_ERROR(RunTrainers(runs, pool));
  for (std::size_t i = 0; i < samples.size(); ++i) {
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string base, ReadFile(OutputPath(runs[2 * i])));
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string federated, ReadFile(OutputPath(runs[2 * i + 1])));
    samples[i].base = FirstLine(base, kShownBytes);
    samples[i].federated = FirstLine(federated, kShownBytes);
  }
  return samples;
}

std::string SamplesText(const std::vector<Sample>& samples) {
  std::string text = "words that no site has trained on\n";
  for (const Sample& sample : samples) {
    text += sample.prompt + "\n  base       " + sample.base + "\n  federated  " + sample.federated +
            "\n";
    if (!sample.wordnet.empty()) text += "  WordNet    " + sample.wordnet + "\n";
  }
  return text;
}

json ToJson(const std::vector<Sample>& samples) {
  json all = json::array();
  for (const Sample& sample : samples) {
    all.push_back({{"prompt", sample.prompt},
                   {"wordnet", sample.wordnet},
                   {"base", sample.base},
                   {"federated", sample.federated}});
  }
  return all;
}

}  // namespace tributary::cli
