// Single values of a configuration: text to value, and what is asked of the value.
#pragma once

#include <string>

#include "core/config.h"
#include "core/config_document.h"

namespace tributary::config_internal {

// Both return what is wrong, or an empty string. `node` refers to a single value, not to a struct,
// list, map or optional.
std::string ReadScalar(const YamlScalar& scalar, const Node& node);
std::string CheckLimits(const YamlScalar& scalar, const Node& node, const FieldOptions& options);

}  // namespace tributary::config_internal
