#include "scheduler_adapters/pbs_site.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>

#include "core/json.h"
#include "core/text.h"
#include "scheduler_adapters/pbs_text.h"

namespace tributary::scheduler_adapters {
namespace {

using nlohmann::json;

// Of "    started = False", without the blanks around it; empty where there is no such line.
std::string_view ValueOf(std::string_view text, std::string_view name) {
  const std::string begin = std::string(name) + " = ";
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    line.remove_prefix(std::min(line.size(), line.find_first_not_of(' ')));
    if (!line.starts_with(begin)) continue;
    line.remove_prefix(begin.size());
    return line.substr(0, line.find_last_not_of(" \r") + 1);
  }
  return {};
}

// Servers write numbers bare or in quotes.
std::int64_t NumberOf(const json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end()) return 0;
  if (it->is_number_integer()) return it->get<std::int64_t>();
  if (!it->is_string()) return 0;
  const std::string& text = it->get_ref<const std::string&>();
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

PbsQueue ParsePbsQueue(std::string_view text) {
  PbsQueue queue;
  queue.started = ValueOf(text, "started") != "False";
  queue.execution = ValueOf(text, "queue_type") != "Route";
  return queue;
}

std::vector<QueueOffer> ParsePbsQueues(std::string_view text, std::string_view default_queue) {
  constexpr std::string_view kHead = "Queue: ";
  std::vector<QueueOffer> offers;
  for (std::size_t at = text.find(kHead); at != std::string_view::npos;) {
    const std::size_t next = text.find("\nQueue: ", at);
    const std::string_view block = text.substr(at + kHead.size(), next - at - kHead.size());
    at = next == std::string_view::npos ? next : next + 1;
    const std::string_view name = block.substr(0, block.find_first_of(" \r\n"));
    if (name.empty()) continue;
    QueueOffer& offer = offers.emplace_back();
    offer.name = name;
    offer.is_default = name == default_queue;
    offer.open = ValueOf(block, "enabled") != "False" && ValueOf(block, "started") != "False";
    offer.walltime = ParsePbsDuration(ValueOf(block, "resources_max.walltime"));
  }
  return offers;
}

std::string DefaultPbsQueue(std::string_view text) {
  return std::string(ValueOf(text, "default_queue"));
}

Result<std::vector<PbsHost>> ParsePbsNodes(std::string_view text) {
  TRIBUTARY_ASSIGN_OR_RETURN(const json listing, ParseJson(text, "pbsnodes"));
  if (!listing.is_object() || !listing.contains("nodes") || !listing["nodes"].is_object()) {
    return InvalidArgumentError("pbsnodes: lists no nodes");
  }
  std::map<std::string, PbsHost> hosts;
  for (const auto& [name, node] : listing["nodes"].items()) {
    if (!node.is_object() || !node.contains("resources_available")) continue;
    const json& has = node["resources_available"];
    if (!has.is_object()) continue;
    const auto host = has.find("host");
    const std::string key =
        host != has.end() && host->is_string() ? host->get<std::string>() : name;
    PbsHost& sum = hosts[key];
    sum.name = Excerpt(key);
    sum.cpus += NumberOf(has, "ncpus");
    sum.gpus += NumberOf(has, "ngpus");
  }
  std::vector<PbsHost> list;
  for (auto& [name, host] : hosts) list.push_back(std::move(host));
  return list;
}

Status CheckPbsHosts(const std::vector<PbsHost>& hosts, const JobSpec& spec) {
  const auto fits = std::count_if(hosts.begin(), hosts.end(), [&](const PbsHost& host) {
    return host.cpus >= spec.cpus && host.gpus >= spec.gpus;
  });
  if (fits >= spec.nodes) return OkStatus();
  std::int64_t cpus = 0, gpus = 0;
  for (const PbsHost& host : hosts) {
    cpus = std::max(cpus, host.cpus);
    gpus = std::max(gpus, host.gpus);
  }
  return InvalidArgumentError(std::to_string(fits) + " of " + std::to_string(hosts.size()) +
                              " nodes have " + std::to_string(spec.cpus) + " cpus and " +
                              std::to_string(spec.gpus) + " gpus; the job needs " +
                              std::to_string(spec.nodes) + " (the largest have " +
                              std::to_string(cpus) + " cpus, " + std::to_string(gpus) + " gpus)");
}

bool ChoosesNodes(const JobSpec& spec) {
  return std::any_of(spec.directives.begin(), spec.directives.end(), [](const std::string& option) {
    return option.find("select") != std::string::npos ||
           option.find("nodes") != std::string::npos || option.find("ncpus") != std::string::npos;
  });
}

}  // namespace tributary::scheduler_adapters
