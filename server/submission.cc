#include "server/submission.h"

#include <algorithm>

#include "aggregators/aggregator.h"
#include "aggregators/blockwise.h"
#include "core/safetensors.h"
#include "server/pacing.h"

namespace tributary::server {

Result<CampaignFile> CheckCampaignText(std::string_view yaml, const std::string& file_name) {
  CampaignFile file;
  TRIBUTARY_RETURN_IF_ERROR(LoadYaml(yaml, file_name, &file));
  const auto refuse = [&](const Status& status) {
    return InvalidArgumentError(file_name + ": " + status.message());
  };
  const auto aggregator = aggregators::MakeAggregator(file.aggregator);
  if (!aggregator.ok()) return refuse(aggregator.status());
  const auto pacing = MakePacing(file);
  if (!pacing.ok()) return refuse(pacing.status());
  const auto named = static_cast<std::int64_t>(file.sites.size());
  const std::int64_t contributors = (*pacing)->SitesNeeded(named);
  const std::int64_t min_sites = (*aggregator)->capabilities().min_sites;
  if (contributors < min_sites) {
    return InvalidArgumentError(file_name + ": pacing: a round may close with " +
                                std::to_string(contributors) + " updates but aggregator " +
                                file.aggregator.kind + " needs " + std::to_string(min_sites) +
                                "; raise pacing.quorum or name more sites");
  }
  return file;
}

Status CheckInitialAdapter(const BlobStore& blobs, const Digest& digest) {
  if (!blobs.Has(digest)) {
    return FailedPreconditionError("initial adapter " + digest.ToHex() + " was not uploaded");
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const auto file, SafetensorsFile::Open(blobs.PathOf(digest)));
  if (file.header().tensors.empty()) return InvalidArgumentError("initial adapter has no tensors");
  TRIBUTARY_ASSIGN_OR_RETURN(const auto scan, aggregators::ScanUpdate(file));
  if (!scan.finite) {
    return InvalidArgumentError("initial adapter: tensor " + scan.first_bad_tensor +
                                " holds a value that is not finite");
  }
  return OkStatus();
}

}  // namespace tributary::server
