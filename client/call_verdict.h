// What an answer of the server means for whoever asked: one table for every status code of every
// call that is repeated by a program. (Calls that people make are repeated by people.)
#pragma once

#include <cstdint>

#include "core/status.h"

namespace tributary::client {

enum class Call : std::uint8_t { kConnect, kUploadStatus, kUpload, kDownload };

enum class Verdict : std::uint8_t {
  kDone,
  kTransient,  // passes: asked again after a pause, it costs nobody an attempt
  kRefused,    // understood, and no: the same question gets the same answer
  kPermanent,  // the two programs or their certificates do not fit together: somebody must act
};

// A code that no table knows is transient.
Verdict VerdictOn(Call call, StatusCode code);

}  // namespace tributary::client
