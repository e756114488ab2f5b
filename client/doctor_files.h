// The doctor's look at the site's directories: the daemon's memory and the tasks' workspace.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "client/client_config.h"
#include "client/doctor_check.h"
#include "core/status.h"

namespace tributary::client {

// What statfs(2) says of where a path lies. `network`: other machines may see it. `local`: they
// surely do not. Neither: not known.
struct FileSystem {
  std::string name;  // "lustre", "ext4", "0x1234"
  bool network = false;
  bool local = false;
  bool volatile_memory = false;  // gone after a reboot
};
FileSystem FileSystemOf(const std::string& path);

// The path, or the part of it that is there.
std::string ExistingPart(const std::string& path);

// The process that has the database open, by the locks that SQLite holds on it; 0 when it is on
// another machine. Takes no lock and opens no database.
std::optional<pid_t> HolderOf(const std::string& database);

// "12.5 GiB".
std::string SizeText(std::uint64_t bytes);

// Writes to it, and leaves nothing. A daemon that has it open is told and left alone.
Check CheckStateDirectory(const ClientConfig& config);

// Makes files there as a task does, and leaves nothing: mode and owner, hard links, room, and
// whether other machines see it.
Checks CheckWorkspace(const ClientConfig& config);

}  // namespace tributary::client
