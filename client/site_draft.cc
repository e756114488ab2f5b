#include "client/site_draft.h"

#include <cstdio>

#include "core/config.h"

namespace tributary::client {
namespace {

std::string List(const std::vector<std::string>& texts) {
  std::string list = "[";
  for (const std::string& text : texts) list += (list.size() > 1 ? ", " : "") + YamlText(text);
  return list + "]";
}

std::string MapLines(const std::string& indent, const std::map<std::string, std::string>& entries) {
  if (entries.empty()) return " {}\n";
  std::string lines = "\n";
  for (const auto& [key, value] : entries)
    lines += indent + YamlText(key) + ": " + YamlText(value) + "\n";
  return lines;
}

// Of what is left out where it says nothing.
std::string Line(const std::string& key, const std::string& value) {
  return value.empty() ? "" : key + ": " + YamlText(value) + "\n";
}

std::string HoursText(double hours) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", hours);
  return text;
}

}  // namespace

std::string SiteFile(const SiteDraft& draft) {
  const bool batch = draft.adapter != "local";
  std::string file =
      "# This site's file, by `tributary-client init`. Every other key has its default: "
      "`tributary-client run\n"
      "# --check-config` prints them all. After a change: `tributary-client doctor`, and start the "
      "daemon again.\n\n";
  file += Line("server", draft.server) + Line("server_name", draft.server_name);
  file += "\nstate_dir: " + YamlText(draft.state_dir) +
          "  # the daemon's memory: a local disk that survives a reboot\n"
          "workspace: " +
          YamlText(draft.workspace) + "  # task directories: a file system that jobs see\n\n";
  file += "scheduler:\n  adapter: " + draft.adapter + "\n" +
          Line("  command_directory", draft.command_directory) + "\njob:\n";
  file += "  trainer: " + List(draft.trainer) + "\n";
  file += "  environment:" + MapLines("    ", draft.environment);
  if (!draft.modules.empty()) file += "  modules: " + List(draft.modules) + "\n";
  if (batch) file += Line("  queue", draft.queue) + Line("  account", draft.account);
  if (batch && !draft.directives.empty()) file += "  directives: " + List(draft.directives) + "\n";
  file +=
      "  cpus: " + std::to_string(draft.cpus) + "\n  gpus: " + std::to_string(draft.gpus) + "\n";
  file += "  max_concurrent: 1\n";
  if (batch) file += "  warning_before: 2m\n";
  if (draft.node_hours > 0) {
    file += "\nallocation:\n  unit: node-hours\n  total: " + HoursText(draft.node_hours) + "\n";
  }
  file += "\n# What this site allows; a campaign cannot weaken it.\npolicy:\n";
  file += "  campaigns: " + List(draft.campaigns) +
          (draft.campaigns.empty() ? "  # names; as it stands every campaign is refused\n" : "\n");
  file += "  leads: " + List(draft.leads) +
          (draft.leads.empty() ? "  # names; as it stands nobody may lead one\n" : "\n");
  file += "  models:" + MapLines("    ", draft.models) + "  data:" + MapLines("    ", draft.data);
  file += "  max_walltime: " + FormatDuration(draft.max_walltime) + "\n";
  return file;
}

}  // namespace tributary::client
