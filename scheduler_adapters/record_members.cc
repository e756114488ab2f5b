#include "scheduler_adapters/record_members.h"

#include <nlohmann/json.hpp>

namespace tributary::scheduler_adapters {

std::map<std::string, std::string> StringMap(JsonObjectReader& reader, std::string_view key) {
  std::map<std::string, std::string> result;
  const nlohmann::json& raw = reader.Raw(key);
  for (auto it = raw.begin(); raw.is_object() && it != raw.end(); ++it) {
    if (it->is_string()) result[it.key()] = it->get<std::string>();
  }
  return result;
}

Timestamp TimeMember(JsonObjectReader& reader, std::string_view key) {
  return TimestampFromMicros(reader.Int(key, std::numeric_limits<std::int64_t>::min(), kIntMax));
}

}  // namespace tributary::scheduler_adapters
