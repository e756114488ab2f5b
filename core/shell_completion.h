// What completes a program's commands, options and their values in a shell.
#pragma once

#include <string>

#include "core/command_line.h"

namespace tributary {

// To be sourced by bash, or to lie in bash-completion's folder under the program's name.
std::string BashCompletion(const CommandText& program);

// To lie in a folder of zsh's fpath, under the program's name after an underscore.
std::string ZshCompletion(const CommandText& program);

}  // namespace tributary
