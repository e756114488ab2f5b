// How a text is cut into the pieces inside which tokens are merged: the "pre_tokenizer" of
// tokenizer.json, as a list of steps.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "trainer/pre_tokenizer.h"
#include "trainer/tokenizer.h"

namespace tributary::trainer {

// Where what a pattern matches goes; the names are those of tokenizer.json.
enum class SplitBehavior : std::uint8_t {
  kRemoved,
  kIsolated,
  kMergedWithPrevious,
  kMergedWithNext,
  kContiguous,
};

struct PreTokenizerStep {
  enum class Kind : std::uint8_t { kSplit, kPrefix, kMetaspace } kind = Kind::kSplit;
  std::optional<PreTokenizer> pattern;  // kSplit; also kMetaspace, where it cuts
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;        // kSplit: what lies between the matches counts as matched
  std::string prefix;         // kPrefix: in front of pieces that do not begin so
                              // kMetaspace: also what stands for a space
  bool prefix_first = false;  // kMetaspace: only in front of the first piece of a sequence
  bool prefix_never = false;  // kMetaspace
};

// A text in pieces: piece i ends before byte ends[i], where the next begins. None is empty.
struct Pieces {
  std::string text;
  std::vector<std::size_t> ends;
};

// Applies the steps in order to a normalised text.
Result<Pieces> CutIntoPieces(std::string_view text, const std::vector<PreTokenizerStep>& steps,
                             TextPlace place);

}  // namespace tributary::trainer
