// Events as JSON text: how the journal stores them and how people read them. Numbers survive a
// round trip exactly.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/status.h"
#include "server/event.h"

namespace tributary::server {

// 1, which is not written down: journals in which only what came from outside stands; what followed
// from it was decided again whenever the journal was folded. 2: with the engine's decisions.
inline constexpr std::int64_t kEventFormat = 3;

// {"v": 2, "type": "update_accepted", "task": ..., ...}
std::string EncodeEvent(const Event& event);

struct RecordedEvent {
  Event event;
  std::int64_t format = kEventFormat;
};
// Of any format so far. Data loss when the text is none; failed precondition, with both formats
// named, when a later version wrote it.
Result<RecordedEvent> DecodeRecord(std::string_view text);
Result<Event> DecodeEvent(std::string_view text);

}  // namespace tributary::server
