#include "client/launcher.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tributary::client {
namespace {

constexpr std::int64_t kMost = 4096;

constexpr std::array<std::string_view, 8> kPerNode = {
    "--ntasks-per-node", "--tasks-per-node", "--ppn",     "-ppn",
    "--npernode",        "-npernode",        "--perhost", "-perhost"};
constexpr std::array<std::string_view, 4> kInAll = {"--ntasks", "--np", "-np", "-n"};
constexpr std::array<std::string_view, 2> kOfATask = {"--nproc-per-node", "--nproc_per_node"};

std::optional<std::int64_t> NumberIn(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return std::clamp<std::int64_t>(number, 1, kMost);
}

// The value of the first of these options: "--option=4", "--option 4" or, of one letter, "-n4".
std::optional<std::int64_t> Option(const std::vector<std::string>& words,
                                   std::span<const std::string_view> names) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    for (const std::string_view name : names) {
      std::string_view rest = words[i];
      if (!rest.starts_with(name)) continue;
      rest.remove_prefix(name.size());
      if (rest.empty() && i + 1 < words.size()) rest = words[i + 1];
      if (rest.starts_with('=')) rest.remove_prefix(1);
      if (const auto number = NumberIn(rest)) return number;
    }
  }
  return std::nullopt;
}

}  // namespace

Launched CountLaunched(const JobSection& job) {
  Launched launched;
  if (const auto per_node = Option(job.launcher, kPerNode)) {
    launched.tasks = *per_node;
  } else if (const auto in_all = Option(job.launcher, kInAll)) {
    launched.tasks = (*in_all + job.nodes - 1) / job.nodes;
  }
  std::vector<std::string> words = job.launcher;
  words.insert(words.end(), job.trainer.begin(), job.trainer.end());
  launched.processes = launched.tasks * Option(words, kOfATask).value_or(1);
  return launched;
}

std::int64_t ThreadsOf(const JobSection& job) {
  return std::max<std::int64_t>(1, job.cpus / CountLaunched(job).processes);
}

}  // namespace tributary::client
