#include "client/offer_check.h"

#include <unistd.h>

#include <cerrno>
#include <set>
#include <vector>

#include "client/allocation.h"
#include "client/policy.h"
#include "client/trainer_inspection.h"
#include "core/files.h"
#include "core/log.h"
#include "core/model_shape.h"
#include "core/peft_adapter.h"
#include "core/text.h"

namespace tributary::client {
namespace {

// Paths are for the site's own log.
void AddUnreadable(const std::string& what, const std::string& path,
                   std::vector<std::string>* reasons, Status* trouble) {
  if (access(path.c_str(), R_OK) == 0) return;
  const int error = errno;
  const bool missing = error == ENOENT || error == ENOTDIR;
  const bool forbidden = error == EACCES || error == EPERM;
  const std::string why = missing     ? "is not there"
                          : forbidden ? "cannot be read by this site's user"
                                      : "cannot be looked at now";
  LogWarning("client", "a campaign cannot run here",
             {{"what", what}, {"path", path}, {"why", why}, {"error", error}});
  const std::string reason = what + " of this site " + why;
  if (missing || forbidden) return reasons->push_back(reason);
  if (trouble->ok()) *trouble = UnavailableError(reason);
}

std::set<std::string> DataOf(const v1::CampaignOffer& offer) {
  std::set<std::string> names = {offer.train_data()};
  names.insert(offer.evaluation_data().begin(), offer.evaluation_data().end());
  return names;
}

void ReplaceAll(const std::string& what, const std::string& with, std::string* text) {
  for (std::size_t at = text->find(what); !what.empty() && at != text->npos;
       at = text->find(what, at + with.size())) {
    text->replace(at, what.size(), with);
  }
}

// The trainer's words, without the site's paths.
std::string WithNames(std::string text, const PolicySection& policy,
                      const v1::CampaignOffer& offer) {
  for (const std::string& name : DataOf(offer)) {
    ReplaceAll(policy.data.at(name), "data " + name, &text);
  }
  ReplaceAll(policy.models.at(offer.model()), "model " + offer.model(), &text);
  return text;
}

// A model of another trainer's making, or of an architecture that is not known here, may be right
// all the same.
Status CheckShapes(const std::string& directory, const v1::CampaignOffer& offer) {
  const auto text = ReadFile(JoinPath(directory, "config.json"));
  if (!text.ok()) return OkStatus();
  const auto shape = ModelShape::FromConfigJson(*text);
  const auto adapter = AdapterConfig::FromPeftJson(offer.adapter_config_json());
  if (!shape.ok() || !adapter.ok() || offer.manifest_size() == 0) return OkStatus();
  const std::string advice = "; is this the campaign's model?";
  const auto here = AdapterManifest(*adapter, *shape);
  if (!here.ok()) {
    return PermissionDeniedError(offer.model() + ": " + here.status().message() + advice);
  }
  Manifest offered;
  for (const v1::TensorInfo& tensor : offer.manifest()) {
    offered.push_back({tensor.name(), DType::kF32, {tensor.shape().begin(), tensor.shape().end()}});
  }
  const Status same = CheckManifest(*here, offered);
  if (same.ok()) return OkStatus();
  return PermissionDeniedError(
      "model " + offer.model() +
      " at this site does not fit the campaign's adapter: " + same.message() + advice);
}

// What is used does not come back; what is pending may.
Status CheckLeft(const ClientConfig& config, SiteLedger& ledger, const v1::CampaignOffer& offer) {
  JobEntry job;
  job.campaign = offer.campaign();
  job.nodes = config.job.nodes;
  job.cpus = config.job.nodes * config.job.cpus;
  job.gpus = config.job.nodes * config.job.gpus;
  job.walltime = std::chrono::seconds(offer.max_walltime_seconds());
  const Status left = CheckAllocation(config.allocation, ledger, job, Pending::kMayComeBack);
  if (left.code() == StatusCode::kResourceExhausted) return PermissionDeniedError(left.message());
  if (!left.ok()) {
    LogWarning("client", "the allocation is not checked at the offer", {{"reason", left}});
  }
  return OkStatus();
}

}  // namespace

Status CheckFiles(const PolicySection& policy, const v1::CampaignOffer& offer) {
  std::vector<std::string> reasons;
  Status trouble;
  const auto model = policy.models.find(offer.model());
  if (model != policy.models.end()) {
    AddUnreadable("model " + offer.model(), model->second, &reasons, &trouble);
  }
  for (const std::string& name : DataOf(offer)) {
    const auto data = policy.data.find(name);
    if (data != policy.data.end()) AddUnreadable("data " + name, data->second, &reasons, &trouble);
  }
  const Status denied = Deny(reasons);
  return denied.ok() ? trouble : denied;
}

Status CheckFeasible(const ClientConfig& config, SiteLedger& ledger,
                     const v1::CampaignOffer& offer) {
  const Status files = CheckFiles(*config.policy, offer);
  // A file system that does not answer now is no reason to stay out of a campaign of weeks.
  if (files.code() != StatusCode::kUnavailable) TRIBUTARY_RETURN_IF_ERROR(files);
  TRIBUTARY_RETURN_IF_ERROR(CheckShapes(config.policy->models.at(offer.model()), offer));
  return CheckLeft(config, ledger, offer);
}

Status AskTrainer(const ClientConfig& config, const v1::CampaignOffer& offer,
                  std::chrono::seconds limit) {
  InspectionRequest request;
  request.model = config.policy->models.at(offer.model());
  request.adapter_config_json = offer.adapter_config_json();
  for (const std::string& name : DataOf(offer)) {
    request.data.push_back(config.policy->data.at(name));
  }
  const auto inspection = InspectWithTrainer(config, request, limit);
  if (!inspection.ok()) {
    LogInfo("client", "the trainer does not say what it can do", {{"reason", inspection.status()}});
    return OkStatus();
  }
  std::vector<std::string> reasons;
  for (const std::string& need : offer.needs()) {
    if (inspection->abilities && !inspection->abilities->contains(need)) {
      reasons.push_back("this site's trainer cannot do " + Excerpt(need) +
                        ", which the campaign asks for");
    }
  }
  for (const auto& finding : inspection->findings) {
    if (finding.outcome != Outcome::kFailed) continue;
    LogWarning("client", "the trainer would refuse a campaign's tasks",
               {{"campaign", offer.campaign()}, {"what", finding.what}, {"found", finding.found}});
    reasons.push_back("this site's trainer refuses the " + finding.what + ": " +
                      WithNames(finding.found, *config.policy, offer));
  }
  return Deny(reasons);
}

}  // namespace tributary::client
