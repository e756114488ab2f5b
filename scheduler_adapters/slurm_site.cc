#include "scheduler_adapters/slurm_site.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "core/text.h"
#include "scheduler_adapters/slurm_text.h"

namespace tributary::scheduler_adapters {
namespace {

constexpr std::size_t kMaxNameBytes = 128;

std::string_view TakeUntil(std::string_view* rest, char end) {
  const std::string_view part = rest->substr(0, rest->find(end));
  rest->remove_prefix(std::min(rest->size(), part.size() + 1));
  return part;
}

// "64" and "64+", which stands for nodes that differ.
std::int64_t CountOf(std::string_view text) {
  std::int64_t count = 0;
  std::from_chars(text.data(), text.data() + text.size(), count);
  return std::max<std::int64_t>(count, 0);
}

// "gpu:a100:4(S:0-1),gpu:2(S:0,2),nvme:1": 6.
std::int64_t GpusOf(std::string_view gres) {
  std::string bare;
  int depth = 0;
  for (const char c : gres) {
    if (c == '(') ++depth;
    if (depth == 0) bare += c;
    if (c == ')') --depth;
  }
  std::int64_t gpus = 0;
  for (std::string_view rest = bare; !rest.empty();) {
    const std::string_view item = TakeUntil(&rest, ',');
    if (item == "gpu") ++gpus;
    if (item.starts_with("gpu:")) gpus += CountOf(item.substr(item.rfind(':') + 1));
  }
  return gpus;
}

}  // namespace

std::vector<QueueOffer> ParsePartitions(std::string_view sinfo) {
  std::vector<QueueOffer> offers;
  while (!sinfo.empty()) {
    std::string_view line = TakeUntil(&sinfo, '\n');
    std::array<std::string_view, 6> cells;
    for (std::string_view& cell : cells) cell = TakeUntil(&line, '|');
    auto& [name, state, limit, nodes, cpus, gres] = cells;
    const bool is_default = name.ends_with('*');
    if (is_default) name.remove_suffix(1);
    if (name.empty() || state.empty() || name.size() > kMaxNameBytes) continue;
    const std::string partition(name);
    auto known = std::find_if(offers.begin(), offers.end(),
                              [&](const QueueOffer& offer) { return offer.name == partition; });
    if (known == offers.end()) {
      known = offers.insert(offers.end(), QueueOffer());
      known->name = partition;
      known->is_default = is_default;
      known->open = state == "up";
      known->walltime = ParseSlurmDuration(limit);
    }
    known->nodes += CountOf(nodes);
    known->cpus = std::max(known->cpus, CountOf(cpus));
    known->gpus = std::max(known->gpus, GpusOf(gres));
  }
  return offers;
}

std::vector<std::string> ParseAccounts(std::string_view sacctmgr) {
  std::vector<std::string> accounts;
  while (!sacctmgr.empty()) {
    std::string_view line = TakeUntil(&sacctmgr, '\n');
    const std::string account(TakeUntil(&line, '|'));
    if (account.empty() || account.size() > kMaxNameBytes) continue;
    if (std::find(accounts.begin(), accounts.end(), account) == accounts.end()) {
      accounts.push_back(account);
    }
  }
  return accounts;
}

}  // namespace tributary::scheduler_adapters
