#include "server/campaign_check.h"

#include <algorithm>
#include <set>

#include "aggregators/file_round.h"
#include "core/chat_template_names.h"
#include "core/config_problem.h"
#include "core/text.h"
#include "core/warning_time.h"
#include "server/strategy.h"

namespace tributary::server {
namespace {

Status CheckTemplate(const std::string& name) {
  const std::vector<std::string> known(kChatTemplateNames.begin(), kChatTemplateNames.end());
  if (name.empty() || std::find(known.begin(), known.end(), name) != known.end()) return OkStatus();
  std::string message = "data.template: \"" + Excerpt(name) + "\" is not known";
  if (const auto near = NearestName(name, known)) message += "; did you mean " + *near + "?";
  message += "; known:";
  for (const std::string& other : known) message += " " + other;
  return InvalidArgumentError(std::move(message));
}

// A site that has only factors, or factors that multiply to nothing, would learn nothing.
Status CheckMiddle(const SafetensorsFile& adapter) {
  for (const SafetensorsEntry& entry : adapter.header().tensors) {
    const std::string& name = entry.spec.name;
    const bool a = IsLoraA(name);
    if (!a && !IsLoraB(name)) continue;
    const auto values = adapter.Floats(entry);
    if (std::all_of(values.begin(), values.end(), [](float value) { return value == 0; })) {
      return InvalidArgumentError(
          "initial adapter: tensor " + name +
          " is all zeros: what is trained between the factors would have no effect");
    }
    std::string middle = name;
    middle.replace(middle.rfind(a ? ".lora_A." : ".lora_B."), 8, ".lora_C.");
    if (adapter.Find(middle) == nullptr) {
      return InvalidArgumentError("initial adapter: there is no tensor " + middle +
                                  ", which adapter.middle asks for");
    }
  }
  return OkStatus();
}

}  // namespace

Result<CampaignFile> CheckCampaignText(std::string_view yaml, const std::string& file_name) {
  CampaignFile file;
  TRIBUTARY_RETURN_IF_ERROR(LoadYaml(yaml, file_name, &file));
  for (const Status& status : {CheckStrategy(file), CheckTemplate(file.data.chat_template)}) {
    if (status.ok()) continue;
    return InvalidArgumentError(AtLine(yaml, file_name, status).message());
  }
  return file;
}

std::vector<std::string> CampaignWarnings(const CampaignFile& file) {
  std::vector<std::string> warnings;
  const auto before = kDefaultWarningBefore;
  if (file.walltime < 4 * before) {
    const bool none = file.walltime <= before;
    warnings.push_back(
        "walltime: of " + FormatDuration(file.walltime) + " a job has " +
        (none ? "no time left to write what it has: sites warn their jobs "
              : FormatDuration(file.walltime - before) + " to start and train: sites warn it ") +
        FormatDuration(before) + " before the end (job.warning_before)" +
        (none ? "" : ", and what it has then is a partial update"));
  }
  return warnings;
}

Status CheckInitialTensors(const SafetensorsFile& adapter, const CampaignFile& file) {
  if (adapter.header().tensors.empty()) {
    return InvalidArgumentError("initial adapter has no tensors");
  }
  for (const SafetensorsEntry& entry : adapter.header().tensors) {
    if (entry.spec.dtype == DType::kF32) continue;
    return InvalidArgumentError("initial adapter: tensor " + entry.spec.name + " has dtype " +
                                std::string(DTypeName(entry.spec.dtype)) + "; must be F32");
  }
  TRIBUTARY_RETURN_IF_ERROR(CheckLoraPairs(adapter.ToManifest()).Annotate("initial adapter"));
  if (UpdateManifest(adapter.ToManifest(), FirstDirective(file)).empty()) {
    return InvalidArgumentError(
        "initial adapter: aggregator.kind " + file.aggregator.kind +
        " trains neither A nor B of a LoRA pair, and the adapter has nothing else; give "
        "adapter.initial with tensors \"<module>.lora_C.weight\", or leave it out");
  }
  if (file.adapter.middle) TRIBUTARY_RETURN_IF_ERROR(CheckMiddle(adapter));
  TRIBUTARY_ASSIGN_OR_RETURN(const auto scan, aggregators::ScanUpdate(adapter));
  if (!scan.finite) {
    return InvalidArgumentError("initial adapter: tensor " + scan.first_bad_tensor +
                                " holds a value that is not finite");
  }
  return OkStatus();
}

}  // namespace tributary::server
