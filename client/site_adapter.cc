#include "client/site_adapter.h"

#include <nlohmann/json.hpp>

#include "core/campaign_file.h"
#include "core/files.h"
#include "core/json.h"
#include "core/peft_adapter.h"
#include "core/text.h"

namespace tributary::client {
namespace {

using nlohmann::json;

constexpr const char* kDirectory = ".adapters";  // no campaign's: names have no dot in front
constexpr const char* kAboutFile = "about.json";

Result<SiteAdapter> ReadAdapter(const std::string& directory) {
  const std::string path = JoinPath(directory, kAboutFile);
  TRIBUTARY_ASSIGN_OR_RETURN(const json about, ReadJsonFile(path));
  std::vector<std::string> problems;
  JsonObjectReader reader(about, path, &problems);
  SiteAdapter adapter;
  adapter.directory = directory;
  adapter.campaign = reader.String("campaign", "");
  adapter.task = reader.String("task", "");
  adapter.version = reader.Int("version", 0, INT64_MAX, 0);
  adapter.evaluated = reader.Bool("evaluated", false);
  if (const auto it = about.find("metrics"); it != about.end() && it->is_object()) {
    for (const auto& [name, value] : it->items()) {
      if (value.is_number()) adapter.metrics[name] = value.get<double>();
    }
  }
  TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
  return adapter;
}

}  // namespace

std::string SiteAdapterDirectory(const std::string& workspace, const std::string& campaign) {
  return JoinPath(JoinPath(workspace, kDirectory), campaign);
}

bool HasSiteAdapter(const v1::TaskAssignment& task) { return task.directive().keep_b_local(); }

Status KeepSiteAdapter(const std::string& workspace, const v1::TaskAssignment& task,
                       const TaskWorkspace& files, const TaskResult& result) {
  const bool trained = task.kind() == v1::TASK_KIND_TRAIN;
  const std::string global = files.directory() + "/global";
  const std::string weights =
      (trained ? files.directory() + "/update" : global) + "/" + std::string(kAdapterWeightsFile);
  const std::string target = SiteAdapterDirectory(workspace, task.campaign());
  const std::string fresh = target + ".new";
  TRIBUTARY_RETURN_IF_ERROR(RemoveTree(fresh));
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(fresh));
  for (const std::string& path : {weights, JoinPath(global, kAdapterConfigFile)}) {
    const std::string name = path.substr(path.rfind('/') + 1);
    TRIBUTARY_ASSIGN_OR_RETURN(const bool linked, LinkFile(path, JoinPath(fresh, name)));
    if (!linked) return NotFoundError(path + " is not there");
  }
  const json about = {{"campaign", task.campaign()},
                      {"task", task.task()},
                      {"version", task.global_version()},
                      {"evaluated", !trained},
                      {"metrics", result.metrics}};
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(
      JoinPath(fresh, kAboutFile), about.dump(1, ' ', true, json::error_handler_t::replace)));
  TRIBUTARY_RETURN_IF_ERROR(RemoveTree(target));
  return RenameDurably(fresh, target);
}

Result<std::vector<SiteAdapter>> ListSiteAdapters(const std::string& workspace) {
  std::vector<SiteAdapter> adapters;
  const std::string directory = JoinPath(workspace, kDirectory);
  if (!PathExists(directory)) return adapters;
  TRIBUTARY_ASSIGN_OR_RETURN(const auto names, ListDirectory(directory));
  for (const std::string& name : names) {
    if (!IsCampaignId(name)) continue;  // half made
    TRIBUTARY_ASSIGN_OR_RETURN(adapters.emplace_back(), ReadAdapter(JoinPath(directory, name)));
  }
  return adapters;
}

}  // namespace tributary::client
