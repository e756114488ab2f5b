// Where in a file a problem is that was found after the file was loaded.
#pragma once

#include <string_view>

#include "core/status.h"

namespace tributary {

// The problem as the loader writes its own: "<name>:<line>: <problem>". A problem begins with the
// key that it is about, "adapter.site_ranks: ...", or with several, "adapter: target_modules: ...";
// the line is that of the deepest of them that the text has. Without one, "<name>: <problem>".
Status AtLine(std::string_view yaml, std::string_view name, const Status& problem);

}  // namespace tributary
