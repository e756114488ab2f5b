#include "cli/preparation.h"

#include "cli/initial_adapter.h"
#include "core/adapter_files.h"
#include "core/config_problem.h"
#include "core/files.h"
#include "core/peft_adapter.h"
#include "server/campaign_check.h"

namespace tributary::cli {

Result<CampaignDraft> ReadDraft(const std::string& path) {
  CampaignDraft draft;
  draft.path = path;
  TRIBUTARY_ASSIGN_OR_RETURN(draft.yaml, ReadFile(path));
  TRIBUTARY_ASSIGN_OR_RETURN(draft.file, server::CheckCampaignText(draft.yaml, path));
  for (const std::string& warning : server::CampaignWarnings(draft.file)) {
    draft.warnings.push_back(AtLine(draft.yaml, path, InvalidArgumentError(warning)).message());
  }
  return draft;
}

Result<SafetensorsWriter::Written> WriteInitial(const CampaignDraft& draft, const std::string& to) {
  const auto write = [&]() -> Result<SafetensorsWriter::Written> {
    TRIBUTARY_ASSIGN_OR_RETURN(const auto written,
                               WriteInitialAdapter(draft.file, DirectoryOf(draft.path), to));
    TRIBUTARY_ASSIGN_OR_RETURN(const auto adapter, SafetensorsFile::Open(to));
    TRIBUTARY_RETURN_IF_ERROR(server::CheckInitialTensors(adapter, draft.file));
    return written;
  };
  auto written = write();
  if (!written.ok()) return AtLine(draft.yaml, draft.path, written.status());
  return written;
}

Status CheckInitial(const CampaignDraft& draft) {
  if (CopiesModel(draft.file)) {
    return AtLine(draft.yaml, draft.path, CheckModel(draft.file, DirectoryOf(draft.path)));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const auto scratch, TemporaryDirectory::Create("tributary-check-"));
  return WriteInitial(draft, JoinPath(scratch.path(), kAdapterWeightsFile)).status();
}

}  // namespace tributary::cli
