#include "security/identity.h"

#include <algorithm>
#include <array>

#include "core/text.h"

namespace tributary::security {
namespace {

constexpr std::array<std::string_view, 4> kRoleNames = {"site", "lead", "observer", "admin"};
constexpr std::string_view kScheme = "tributary://";
constexpr std::size_t kMaxNameBytes = 63;

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

}  // namespace

std::string_view RoleName(Role role) { return kRoleNames[static_cast<std::size_t>(role)]; }

Result<Role> ParseRole(std::string_view name) {
  for (std::size_t i = 0; i < kRoleNames.size(); ++i) {
    if (kRoleNames[i] == name) return static_cast<Role>(i);
  }
  return InvalidArgumentError("role \"" + Excerpt(name) +
                              "\" is not known; must be one of site, lead, observer, admin");
}

Status CheckName(std::string_view what, std::string_view name) {
  const bool valid = !name.empty() && name.size() <= kMaxNameBytes && name[0] != '-' &&
                     std::all_of(name.begin(), name.end(), IsNameCharacter);
  if (valid) return OkStatus();
  return InvalidArgumentError(
      std::string(what) + " name \"" + Excerpt(name) +
      "\" is not allowed; must be 1 to 63 of a-z, 0-9 and -, not starting with -");
}

std::string Identity::ToUri() const {
  return std::string(kScheme) + federation + "/" + std::string(RoleName(role)) + "/" + name;
}

Status CheckIdentity(const Identity& identity) {
  TRIBUTARY_RETURN_IF_ERROR(CheckName("federation", identity.federation));
  return CheckName(RoleName(identity.role), identity.name);
}

Result<Identity> ParseIdentityUri(std::string_view uri) {
  const Status wrong = InvalidArgumentError(
      "identity \"" + Excerpt(uri, 200) + "\" is not of the form tributary://federation/role/name");
  if (!uri.starts_with(kScheme)) return wrong;
  const std::string_view path = uri.substr(kScheme.size());
  const std::size_t first = path.find('/');
  if (first == std::string_view::npos) return wrong;
  const std::size_t second = path.find('/', first + 1);
  if (second == std::string_view::npos) return wrong;
  const Result<Role> role = ParseRole(path.substr(first + 1, second - first - 1));
  if (!role.ok()) return wrong;
  Identity identity{std::string(path.substr(0, first)), *role,
                    std::string(path.substr(second + 1))};
  if (!CheckIdentity(identity).ok()) return wrong;
  return identity;
}

}  // namespace tributary::security
