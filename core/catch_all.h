// Where exceptions of the standard library end: around work that allocates as much as a peer made
// it.
#pragma once

#include <exception>
#include <new>
#include <string>
#include <string_view>

#include "core/status.h"

namespace tributary {

// Runs `work`, which returns a Status. What it throws becomes one: resource exhausted for memory,
// internal for anything else. `what` is for the message.
template <class Work>
Status CatchAll(std::string_view what, Work&& work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return ResourceExhaustedError(std::string(what) + " needs more memory than there is");
  } catch (const std::exception& e) {
    return InternalError(std::string(what) + " failed: " + e.what());
  } catch (...) {
    return InternalError(std::string(what) + " failed for an unknown reason");
  }
}

}  // namespace tributary
