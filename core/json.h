// JSON from files and peers: parsed without exceptions, read with typed accessors that collect
// every problem.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace tributary {

// The error names `what` and the byte offset. Duplicate keys in one object, invalid UTF-8 and
// nesting deeper than 64 are errors.
Result<nlohmann::json> ParseJson(std::string_view text, std::string_view what);
Result<nlohmann::json> ReadJsonFile(const std::string& path);

// Reads members of one object. A missing or mistyped member is noted in `problems` as
// "<where>.<key>: ..." and the default returned, so that a caller reads all it wants and then asks
// Finish() once. Borrowed arguments outlive the reader.
class JsonObjectReader {
 public:
  JsonObjectReader(const nlohmann::json& object, std::string where,
                   std::vector<std::string>* problems);

  bool Has(std::string_view key) const;
  // Required members.
  std::string String(std::string_view key);
  std::int64_t Int(std::string_view key, std::int64_t min, std::int64_t max);
  double Number(std::string_view key);
  bool Bool(std::string_view key);
  std::vector<std::string> Strings(std::string_view key);
  JsonObjectReader Object(std::string_view key);
  const nlohmann::json& Raw(std::string_view key);  // null when absent
  // Optional members.
  std::string String(std::string_view key, std::string fallback);
  std::int64_t Int(std::string_view key, std::int64_t min, std::int64_t max, std::int64_t fallback);
  double Number(std::string_view key, double fallback);
  bool Bool(std::string_view key, bool fallback);
  std::vector<std::string> Strings(std::string_view key, std::vector<std::string> fallback);

  // Notes every member that no accessor asked for.
  void RejectUnknown();
  void Problem(std::string_view key, std::string text);

 private:
  const nlohmann::json* Member(std::string_view key, bool required);

  const nlohmann::json& object_;
  std::string where_;
  std::vector<std::string>* problems_;
  std::set<std::string, std::less<>> seen_;
};

// OK without problems; else invalid argument with all of them, "; " between.
Status ProblemsToStatus(const std::vector<std::string>& problems);

}  // namespace tributary
