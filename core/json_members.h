// The members of a JSON object that somebody reads, out of text as Python's json module writes it:
// with NaN, Infinity, repeated keys, escaped surrogates that stand alone, any depth. What nobody
// reads does no harm.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "core/status.h"

namespace tributary {

// The text of a key, with its quotes, and of its value.
using JsonMember = std::pair<std::string_view, std::string_view>;

// The members of the object that `text` is, in order, and the elements of the array. Nothing below
// them is checked but that strings end and brackets close. Views into `text`; invalid argument when
// it is nothing of the kind.
Result<std::vector<JsonMember>> MembersOf(std::string_view text);
Result<std::vector<std::string_view>> ElementsOf(std::string_view text);

// The object that `text` is, each member read by itself: one that is no JSON as ParseJson() has it
// is a string of its text, so that whoever reads it finds the wrong type, and nobody else minds.
Result<nlohmann::json> ParseJsonMembers(std::string_view text, std::string_view what);

}  // namespace tributary
