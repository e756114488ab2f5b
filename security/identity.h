// Who a certificate speaks for: the URI name tributary://<federation>/<role>/<name> in it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/status.h"

namespace tributary::security {

enum class Role : std::uint8_t {
  kSite,      // a site's client: takes tasks
  kLead,      // runs campaigns: submits, pauses, cancels its own
  kObserver,  // sees campaigns
  kAdmin,     // all of a lead, and enrolls and removes members
};

std::string_view RoleName(Role role);  // "site", "lead", "observer", "admin"
Result<Role> ParseRole(std::string_view name);

// OK for [a-z0-9][a-z0-9-]{0,62}: names of federations, members and campaigns. `what` names the
// thing in the error.
Status CheckName(std::string_view what, std::string_view name);

struct Identity {
  std::string federation;
  Role role = Role::kSite;
  std::string name;

  std::string ToUri() const;
  friend bool operator==(const Identity&, const Identity&) = default;
};

// Accepts exactly what ToUri() of a valid identity gives.
Result<Identity> ParseIdentityUri(std::string_view uri);
Status CheckIdentity(const Identity& identity);

}  // namespace tributary::security
