// The version of all programs of one build.
#pragma once

namespace tributary {

inline constexpr const char* kVersion = TRIBUTARY_VERSION;

}  // namespace tributary
