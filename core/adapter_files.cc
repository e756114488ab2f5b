#include "core/adapter_files.h"

#include "core/files.h"
#include "core/peft_adapter.h"

namespace tributary {

Status CheckAdapterWeights(const std::string& directory) {
  if (PathExists(JoinPath(directory, kAdapterWeightsFile))) return OkStatus();
  std::string message = directory + ": has no " + std::string(kAdapterWeightsFile);
  if (PathExists(JoinPath(directory, kAdapterPickleFile))) {
    message += "; " + std::string(kAdapterPickleFile) +
               " is a pickle and is not read: load the adapter with PEFT and save it again, which "
               "writes safetensors";
  }
  return NotFoundError(std::move(message));
}

}  // namespace tributary
