#include "trainer/pre_tokenizer_steps.h"

#include <algorithm>

#include "trainer/normalizer.h"

namespace tributary::trainer {
namespace {

struct Part {
  std::size_t begin, end;
  bool matched;
};

std::vector<Part> PartsOf(std::string_view text, const std::vector<PreTokenizer::Span>& matches,
                          bool invert) {
  std::vector<Part> parts;
  std::size_t done = 0;
  for (const PreTokenizer::Span& match : matches) {
    if (match.begin > done) parts.push_back({done, match.begin, invert});
    parts.push_back({match.begin, match.end, !invert});
    done = match.end;
  }
  if (done < text.size()) parts.push_back({done, text.size(), invert});
  return parts;
}

std::vector<Part> JoinToPrevious(const std::vector<Part>& parts) {
  std::vector<Part> joined;
  bool after_match = false;
  for (const Part& part : parts) {
    if (part.matched && !after_match && !joined.empty()) {
      joined.back().end = part.end;
    } else {
      joined.push_back(part);
    }
    after_match = part.matched;
  }
  return joined;
}

std::vector<Part> JoinToNext(const std::vector<Part>& parts) {
  std::vector<Part> joined;  // from the last to the first
  bool before_match = false;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (part->matched && !before_match && !joined.empty()) {
      joined.back().begin = part->begin;
    } else {
      joined.push_back(*part);
    }
    before_match = part->matched;
  }
  std::reverse(joined.begin(), joined.end());
  return joined;
}

std::vector<Part> JoinEqual(const std::vector<Part>& parts) {
  std::vector<Part> joined;
  for (const Part& part : parts) {
    if (!joined.empty() && joined.back().matched == part.matched) {
      joined.back().end = part.end;
    } else {
      joined.push_back(part);
    }
  }
  return joined;
}

std::vector<Part> Arrange(std::vector<Part> parts, SplitBehavior behavior) {
  switch (behavior) {
    case SplitBehavior::kRemoved:
      std::erase_if(parts, [](const Part& part) { return part.matched; });
      return parts;
    case SplitBehavior::kMergedWithPrevious:
      return JoinToPrevious(parts);
    case SplitBehavior::kMergedWithNext:
      return JoinToNext(parts);
    case SplitBehavior::kContiguous:
      return JoinEqual(parts);
    case SplitBehavior::kIsolated:
      break;
  }
  return parts;
}

void Append(std::string_view piece, Pieces* out) {
  if (piece.empty()) return;
  out->text += piece;
  out->ends.push_back(out->text.size());
}

Status AppendSplit(std::string_view piece, const PreTokenizerStep& step, Pieces* out) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto matches, step.pattern->Matches(piece));
  for (const Part& part : Arrange(PartsOf(piece, matches, step.invert), step.behavior)) {
    Append(piece.substr(part.begin, part.end - part.begin), out);
  }
  return OkStatus();
}

bool WantsPrefix(const PreTokenizerStep& step, std::string_view piece, bool first,
                 TextPlace place) {
  if (step.prefix_never || piece.starts_with(step.prefix)) return false;
  if (first && place == TextPlace::kInside) return false;
  return !step.prefix_first || (first && place == TextPlace::kStart);
}

Status ApplyStep(std::string_view piece, const PreTokenizerStep& step, bool first, TextPlace place,
                 Pieces* out) {
  if (step.kind == PreTokenizerStep::Kind::kSplit) return AppendSplit(piece, step, out);
  std::string changed(piece);
  if (step.kind == PreTokenizerStep::Kind::kMetaspace) {
    const std::vector<NormalizerStep> to_prefix = {
        {.kind = NormalizerStep::Kind::kReplace, .pattern = " ", .content = step.prefix}};
    changed = Normalize(piece, to_prefix);
  }
  if (WantsPrefix(step, changed, first, place)) changed.insert(0, step.prefix);
  if (step.pattern) return AppendSplit(changed, step, out);
  Append(changed, out);
  return OkStatus();
}

}  // namespace

Result<Pieces> CutIntoPieces(std::string_view text, const std::vector<PreTokenizerStep>& steps,
                             TextPlace place) {
  Pieces pieces;
  Append(text, &pieces);
  for (const PreTokenizerStep& step : steps) {
    Pieces next;
    next.text.reserve(pieces.text.size());
    std::size_t begin = 0;
    for (const std::size_t end : pieces.ends) {
      const std::string_view piece = std::string_view(pieces.text).substr(begin, end - begin);
      TRIBUTARY_RETURN_IF_ERROR(ApplyStep(piece, step, begin == 0, place, &next));
      begin = end;
    }
    pieces = std::move(next);
  }
  return pieces;
}

}  // namespace tributary::trainer
