// A program's manual page (section 1) in the man macros of roff.
#pragma once

#include <string>

#include "core/command_line.h"

namespace tributary {

std::string ManualPage(const CommandText& program, const std::string& version);

}  // namespace tributary
