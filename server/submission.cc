#include "server/submission.h"

#include "aggregators/file_round.h"
#include "core/safetensors.h"
#include "server/strategy.h"

namespace tributary::server {

Result<CampaignFile> CheckCampaignText(std::string_view yaml, const std::string& file_name) {
  CampaignFile file;
  TRIBUTARY_RETURN_IF_ERROR(LoadYaml(yaml, file_name, &file));
  if (const Status status = CheckStrategy(file); !status.ok()) {
    return InvalidArgumentError(file_name + ": " + status.message());
  }
  return file;
}

Status CheckInitialAdapter(const BlobStore& blobs, const Digest& digest, const CampaignFile& file) {
  if (!blobs.Has(digest)) {
    return FailedPreconditionError("initial adapter " + digest.ToHex() + " was not uploaded");
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const auto adapter, SafetensorsFile::Open(blobs.PathOf(digest)));
  if (adapter.header().tensors.empty()) {
    return InvalidArgumentError("initial adapter has no tensors");
  }
  for (const SafetensorsEntry& entry : adapter.header().tensors) {
    if (entry.spec.dtype == DType::kF32) continue;
    return InvalidArgumentError("initial adapter: tensor " + entry.spec.name + " has dtype " +
                                std::string(DTypeName(entry.spec.dtype)) + "; must be F32");
  }
  if (UpdateManifest(adapter.ToManifest(), FirstDirective(file)).empty()) {
    return InvalidArgumentError(
        "initial adapter: aggregator.kind " + file.aggregator.kind +
        " trains neither A nor B of a LoRA pair, and the adapter has nothing else; give "
        "adapter.initial with tensors \"<module>.lora_C.weight\", or leave it out");
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const auto scan, aggregators::ScanUpdate(adapter));
  if (!scan.finite) {
    return InvalidArgumentError("initial adapter: tensor " + scan.first_bad_tensor +
                                " holds a value that is not finite");
  }
  return OkStatus();
}

}  // namespace tributary::server
