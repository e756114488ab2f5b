// The option `split` of strategies that refactorise a product.
#pragma once

#include <array>
#include <string_view>

#include "aggregators/low_rank.h"
#include "aggregators/options.h"

namespace tributary::aggregators {

constexpr std::array<std::string_view, 3> kSplitWords = {"symmetric", "left", "right"};

constexpr OptionSpec kSplitOption = {
    .name = "split",
    .meaning = "where singular values go: half to each factor, all to B (left), all to A (right)",
    .words = kSplitWords};

inline Split ReadSplit(const Options& options) {
  const std::string& word = options.Word("split");
  if (word == "left") return Split::kLeft;
  return word == "right" ? Split::kRight : Split::kSymmetric;
}

}  // namespace tributary::aggregators
