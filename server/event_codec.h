// Events as JSON text: how the journal stores them and how people read them. Numbers survive a
// round trip exactly.
#pragma once

#include <string>
#include <string_view>

#include "core/status.h"
#include "server/event.h"

namespace tributary::server {

// {"type": "update_accepted", "task": ..., ...}
std::string EncodeEvent(const Event& event);
// Data loss when the text is not what EncodeEvent of this or the previous version writes.
Result<Event> DecodeEvent(std::string_view text);

}  // namespace tributary::server
