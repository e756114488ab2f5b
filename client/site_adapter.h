// The adapter that a personalised strategy leaves a site with. Its own factors never travel, so the
// federation has no whole model: each site keeps its own, beyond the end of the campaign.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "client/task_workspace.h"
#include "core/status.h"
#include "core/task_contract.h"

namespace tributary::client {

struct SiteAdapter {
  std::string campaign, task;
  std::string directory;  // adapter_model.safetensors and adapter_config.json, as PEFT loads them
  std::int64_t version = 0;  // of the shared part
  bool evaluated = false;    // this very adapter; else it is as the site's last training left it
  std::map<std::string, double> metrics;
};

// Where a site's adapters are: in the workspace, one directory for each campaign. They stay until
// a person removes them.
std::string SiteAdapterDirectory(const std::string& workspace, const std::string& campaign);

// Whether tasks like this one leave a site with an adapter of its own.
bool HasSiteAdapter(const v1::TaskAssignment& task);

// Takes over what a task trained, or evaluated, in the place of what an earlier one left. Whole or
// not at all.
Status KeepSiteAdapter(const std::string& workspace, const v1::TaskAssignment& task,
                       const TaskWorkspace& files, const TaskResult& result);

Result<std::vector<SiteAdapter>> ListSiteAdapters(const std::string& workspace);

}  // namespace tributary::client
