// A Python program that tells which of the installed packages do not fit together.
#pragma once

#include <string_view>

namespace tributary::client {

// The line of its output that counts begins so; the rest of the line is JSON: python, versions,
// conflicts [{text, used}], trouble.
inline constexpr std::string_view kPackagesMark = "tributary-packages ";

// Python 3.8 or later, standard library alone; needs `packaging` or `pip` beside it to compare.
extern const char* const kPackagesProgram;

}  // namespace tributary::client
