#include "cli/stacked_adapter.h"

#include <algorithm>
#include <map>
#include <span>

#include "core/task_contract.h"
#include "core/tensor_file.h"
#include "core/train_directive.h"

namespace tributary::cli {
namespace {

// A factor of one source: rank x in for A, out x rank for B.
struct Part {
  std::span<const float> values;
  std::int64_t rank = 0;
  double factor = 1;
};
using Parts = std::map<std::string, std::vector<Part>>;  // by the adapter's tensor name

void AddParts(const TensorReader& file, bool product, double scale, Parts* parts) {
  for (const TensorSpec& spec : file.ToManifest()) {
    const bool a = product ? spec.name.ends_with(kMergedSuffixA) : IsLoraA(spec.name);
    const bool b = product ? spec.name.ends_with(kMergedSuffixB) : IsLoraB(spec.name);
    if ((!a && !b) || spec.shape.size() != 2) continue;
    const std::string name = product
                                 ? spec.name.substr(0, spec.name.size() - kMergedSuffixA.size()) +
                                       (a ? ".lora_A.weight" : ".lora_B.weight")
                                 : spec.name;
    // A product holds the scale already; the adapter will multiply by it.
    (*parts)[name].push_back(
        {file.Find(spec.name), spec.shape[a ? 0 : 1], product && b ? 1 / scale : 1});
  }
}

std::int64_t RankOf(const std::vector<Part>& parts) {
  std::int64_t rank = 0;
  for (const Part& part : parts) rank += part.rank;
  return rank;
}

// Element (rank, other) of the stacked factor; zero past its parts.
float At(const std::vector<Part>& parts, bool is_a, std::int64_t rank, std::int64_t other,
         std::int64_t width) {
  for (const Part& part : parts) {
    if (rank >= part.rank) {
      rank -= part.rank;
      continue;
    }
    const auto index =
        static_cast<std::size_t>(is_a ? rank * width + other : other * part.rank + rank);
    return static_cast<float>(part.values[index] * part.factor);
  }
  return 0;
}

}  // namespace

Result<std::int64_t> StackProducts(const std::string& adapter,
                                   const std::vector<std::string>& products, double scale,
                                   const std::string& out) {
  std::vector<TensorReader> files;
  Parts parts;
  TRIBUTARY_ASSIGN_OR_RETURN(const TensorReader first, TensorReader::Open(adapter));
  AddParts(first, false, scale, &parts);
  for (const std::string& path : products) {
    TRIBUTARY_ASSIGN_OR_RETURN(TensorReader file, TensorReader::Open(path));
    files.push_back(std::move(file));
  }
  for (const TensorReader& file : files) AddParts(file, true, scale, &parts);
  std::int64_t rank = 0;
  for (const auto& [name, list] : parts) rank = std::max(rank, RankOf(list));
  Manifest manifest = first.ToManifest();
  for (TensorSpec& spec : manifest) {
    if (IsLoraA(spec.name)) spec.shape[0] = rank;
    if (IsLoraB(spec.name)) spec.shape[1] = rank;
  }
  TRIBUTARY_RETURN_IF_ERROR(
      WriteTensorFile(out, manifest,
                      [&](const TensorSpec& spec, std::size_t offset, std::span<float> values) {
                        const bool is_a = IsLoraA(spec.name);
                        if (!is_a && !IsLoraB(spec.name)) {
                          const auto whole = first.Find(spec.name);
                          std::copy_n(whole.begin() + static_cast<std::ptrdiff_t>(offset),
                                      values.size(), values.begin());
                          return;
                        }
                        const std::int64_t width = spec.shape[1];
                        for (std::size_t i = 0; i < values.size(); ++i) {
                          const auto at = static_cast<std::int64_t>(offset + i);
                          values[i] =
                              is_a ? At(parts.at(spec.name), true, at / width, at % width, width)
                                   : At(parts.at(spec.name), false, at % width, at / width, width);
                        }
                      })
          .status());
  return rank;
}

}  // namespace tributary::cli
