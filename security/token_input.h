// Where a person gives a one-time token: not on the command line, which others on the machine see.
#pragma once

#include <string>

#include "core/status.h"

namespace tributary::security {

struct TokenSource {
  std::string token;  // given already: an option, or the environment
  std::string file;   // else from this file; "-": standard input
};

// The token without white space around it. Without a source it is asked for on the terminal, which
// does not show it; where there is no terminal, it is the first line of standard input.
Result<std::string> ReadToken(const TokenSource& source);

}  // namespace tributary::security
