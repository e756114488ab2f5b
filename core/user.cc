#include "core/user.h"

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string_view>

#include "core/files.h"

namespace tributary {
namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// name:password:uid:gid:full name:home:shell
std::optional<UserRecord> UserOfLine(std::string_view line, std::string_view id) {
  std::array<std::string_view, 7> fields;
  for (std::string_view& field : fields) {
    const std::size_t end = line.find(':');
    field = line.substr(0, end);
    line = end == std::string_view::npos ? std::string_view() : line.substr(end + 1);
  }
  if (fields[2] != id || fields[0].empty()) return std::nullopt;
  return UserRecord{std::string(fields[0]), std::string(fields[5]), std::string(fields[6])};
}

}  // namespace

std::optional<UserRecord> FindUser(uid_t id, const std::string& passwd_file) {
  const auto text = ReadFile(passwd_file);
  if (!text.ok()) return std::nullopt;
  const std::string number = std::to_string(id);
  std::string_view rest = *text;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    if (auto user = UserOfLine(rest.substr(0, end), number)) return user;
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
  return std::nullopt;
}

UserRecord CurrentUser() {
  if (auto user = FindUser(geteuid())) return *std::move(user);
  UserRecord user{Variable("USER"), Variable("HOME"), Variable("SHELL")};
  if (user.name.empty()) user.name = Variable("LOGNAME");
  return user;
}

}  // namespace tributary
