// The whole state as JSON text, for snapshots. Numbers and times survive a round trip exactly.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/status.h"
#include "server/campaign_state.h"

namespace tributary::server {

// 2: with rounds that are past, whose tasks are in the journal alone.
inline constexpr std::int64_t kStateFormat = 3;

std::string EncodeState(const State& state);
// Data loss for what is none; failed precondition for a later format.
Result<State> DecodeState(std::string_view text);

}  // namespace tributary::server
