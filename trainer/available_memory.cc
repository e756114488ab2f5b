#include "trainer/available_memory.h"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace tributary::trainer {
namespace {

std::string Text(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The number after `key` at the start of a line.
std::optional<std::uint64_t> Field(const std::string& text, const std::string& key) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(key)) continue;
    std::istringstream rest(line.substr(key.size()));
    std::uint64_t value = 0;
    if (rest >> value) return value;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> Number(const std::string& path) { return Field(Text(path), ""); }

struct GroupFiles {
  const char* mount;
  const char* limit;
  const char* usage;
  const char* cache;  // key of memory.stat
};

constexpr GroupFiles kVersion1 = {"sys/fs/cgroup/memory", "memory.limit_in_bytes",
                                  "memory.usage_in_bytes", "total_inactive_file "};
constexpr GroupFiles kVersion2 = {"sys/fs/cgroup", "memory.max", "memory.current",
                                  "inactive_file "};

// What the group in `directory` may still take. No number there ("max") is no limit.
std::optional<std::uint64_t> LeftIn(const std::string& directory, const GroupFiles& files) {
  const auto limit = Number(directory + "/" + files.limit);
  const auto usage = Number(directory + "/" + files.usage);
  if (!limit || !usage) return std::nullopt;
  const std::uint64_t cache = Field(Text(directory + "/memory.stat"), files.cache).value_or(0);
  const std::uint64_t used = *usage - std::min(*usage, cache);
  return *limit - std::min(*limit, used);
}

// The least over the group at `path` and those above it. In a container the path may not be there,
// the mount itself is.
std::optional<std::uint64_t> LeftUnder(const std::string& root, std::string path,
                                       const GroupFiles& files) {
  std::optional<std::uint64_t> least;
  while (true) {
    const auto left = LeftIn(root + files.mount + path, files);
    if (left && (!least || *left < *least)) least = left;
    const std::size_t slash = path.rfind('/');
    if (path.empty() || slash == std::string::npos) return least;
    path.erase(slash);
  }
}

}  // namespace

std::optional<std::uint64_t> AvailableMemory(const std::string& root) {
  constexpr std::uint64_t kKib = 1024;
  std::optional<std::uint64_t> least;
  if (const auto kib = Field(Text(root + "proc/meminfo"), "MemAvailable:")) least = *kib * kKib;
  std::istringstream groups(Text(root + "proc/self/cgroup"));
  for (std::string line; std::getline(groups, line);) {  // "<number>:<controllers>:<path>"
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool version2 = controllers == ",,";
    if (!version2 && controllers.find(",memory,") == std::string::npos) continue;
    const auto left = LeftUnder(root, line.substr(second + 1), version2 ? kVersion2 : kVersion1);
    if (left && (!least || *left < *least)) least = left;
  }
  return least;
}

}  // namespace tributary::trainer
