// How much memory this process can still get.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace tributary::trainer {

// Bytes: MemAvailable, or what is left under the limits of the process's control groups (versions 1
// and 2, all levels), whichever is less. Pages of files that a group could drop count as left. None
// when the system tells nothing. Reads proc/ and sys/ under `root`.
std::optional<std::uint64_t> AvailableMemory(const std::string& root = "/");

}  // namespace tributary::trainer
