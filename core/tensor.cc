#include "core/tensor.h"

#include <array>
#include <map>

namespace tributary {
namespace {

struct DTypeFacts {
  std::string_view name;
  std::size_t bytes;
};
constexpr std::array<DTypeFacts, 10> kDTypes = {{
    {"F64", 8},
    {"F32", 4},
    {"F16", 2},
    {"BF16", 2},
    {"I64", 8},
    {"I32", 4},
    {"I16", 2},
    {"I8", 1},
    {"U8", 1},
    {"BOOL", 1},
}};
constexpr std::size_t kDifferencesShown = 5;

}  // namespace

std::size_t DTypeBytes(DType dtype) { return kDTypes[static_cast<std::size_t>(dtype)].bytes; }
std::string_view DTypeName(DType dtype) { return kDTypes[static_cast<std::size_t>(dtype)].name; }

Result<DType> ParseDType(std::string_view name) {
  for (std::size_t i = 0; i < kDTypes.size(); ++i) {
    if (kDTypes[i].name == name) return static_cast<DType>(i);
  }
  return InvalidArgumentError("dtype \"" + std::string(name) +
                              "\" is not supported; must be one of F64, F32, F16, BF16, I64, I32, "
                              "I16, I8, U8, BOOL");
}

std::size_t TensorSpec::ElementCount() const {
  std::size_t count = 1;
  for (const std::int64_t extent : shape) count *= static_cast<std::size_t>(extent);
  return count;
}

std::string TensorSpec::ShapeText() const {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

Status CheckManifest(const Manifest& expected, const Manifest& actual) {
  std::map<std::string_view, const TensorSpec*> wanted;
  for (const TensorSpec& spec : expected) wanted[spec.name] = &spec;
  std::vector<std::string> differences;
  for (const TensorSpec& spec : actual) {
    const auto it = wanted.find(spec.name);
    if (it == wanted.end()) {
      differences.push_back("tensor " + spec.name + " is not part of the adapter");
      continue;
    }
    const TensorSpec& want = *it->second;
    if (want.shape != spec.shape) {
      differences.push_back("tensor " + spec.name + " has shape " + spec.ShapeText() +
                            "; must be " + want.ShapeText());
    } else if (want.dtype != spec.dtype) {
      differences.push_back("tensor " + spec.name + " has dtype " +
                            std::string(DTypeName(spec.dtype)) + "; must be " +
                            std::string(DTypeName(want.dtype)));
    }
    wanted.erase(it);
  }
  for (const auto& [name, spec] : wanted) {
    differences.push_back("tensor " + std::string(name) + " is missing");
  }
  if (differences.empty()) return OkStatus();
  std::string message;
  for (std::size_t i = 0; i < differences.size() && i < kDifferencesShown; ++i) {
    if (i > 0) message += "; ";
    message += differences[i];
  }
  if (differences.size() > kDifferencesShown) {
    message += "; and " + std::to_string(differences.size() - kDifferencesShown) + " more";
  }
  return InvalidArgumentError(std::move(message));
}

}  // namespace tributary
