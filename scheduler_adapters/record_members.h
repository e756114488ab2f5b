// Members of the JSON records that jobs and their supervisors leave in files.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>

#include "core/clock.h"
#include "core/json.h"

namespace tributary::scheduler_adapters {

inline constexpr std::int64_t kIntMax = std::numeric_limits<std::int64_t>::max();

// The members of an object that are strings; what else it has is left out.
std::map<std::string, std::string> StringMap(JsonObjectReader& reader, std::string_view key);
// Microseconds since 1970, of either sign.
Timestamp TimeMember(JsonObjectReader& reader, std::string_view key);

}  // namespace tributary::scheduler_adapters
