// One YAML document as a tree that remembers lines; the only view that the loader has of the
// parser.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/status.h"

namespace tributary::config_internal {

inline constexpr std::size_t kMaxDocumentBytes = std::size_t{1} << 20;
inline constexpr int kMaxDocumentDepth = 32;

struct YamlValue;

struct YamlNull {};
struct YamlScalar {
  std::string text;
  bool quoted = false;  // "5" is text, 5 a number
};
struct YamlEntry;
using YamlList = std::vector<YamlValue>;
using YamlMap = std::vector<YamlEntry>;  // in the order of the file; duplicate keys included

struct YamlValue {
  int line = 1;
  std::variant<YamlNull, YamlScalar, YamlList, YamlMap> value;
};
struct YamlEntry {
  std::string key;
  int key_line = 1;
  YamlValue value;
};

// The error is "<name>:<line>: <problem>".
Result<YamlValue> ParseYamlDocument(std::string_view text, std::string_view name);

}  // namespace tributary::config_internal
