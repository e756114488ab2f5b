// prepare_smollm2 DIRECTORY: SmolLM2 as `tributary demo` makes it there; prints the model
// directory. Exit code 77, with the reason, where this machine cannot make it.
#include <iostream>

#include "cli/smollm2.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: prepare_smollm2 DIRECTORY" << std::endl;
    return 2;
  }
  const auto model = tributary::cli::PrepareSmolLm2(argv[1], [](const std::string&) {});
  if (model.ok()) {
    std::cout << *model << std::endl;
    return 0;
  }
  std::cerr << model.status() << std::endl;
  const auto code = model.status().code();
  const bool none = code == tributary::StatusCode::kUnavailable ||
                    code == tributary::StatusCode::kFailedPrecondition;
  return none ? 77 : 1;
}
