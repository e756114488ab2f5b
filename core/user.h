// Who runs this process, without the C library's name services: a program that is linked statically
// has none.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace tributary {

struct UserRecord {
  std::string name, home, shell;
};

// The user's line in a file like /etc/passwd. Users of a directory service (LDAP) have none there.
std::optional<UserRecord> FindUser(uid_t id, const std::string& passwd_file = "/etc/passwd");

// The effective user: as its line says, else as USER or LOGNAME, HOME and SHELL do. What neither
// says is empty.
UserRecord CurrentUser();

}  // namespace tributary
