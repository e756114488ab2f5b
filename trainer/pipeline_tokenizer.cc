#include "trainer/pipeline_tokenizer.h"

#include <algorithm>

#include "trainer/tokenizer_config.h"

namespace tributary::trainer {
namespace {

// The added tokens of one of the two passes, spelled as the text is when it is searched.
std::vector<AddedToken> OfPass(const TokenizerJson& parts, bool normalized) {
  std::vector<AddedToken> tokens;
  for (AddedToken token : parts.added) {
    if (token.normalized != normalized) continue;
    if (normalized) token.content = Normalize(token.content, parts.normalizer);
    tokens.push_back(std::move(token));
  }
  return tokens;
}

}  // namespace

PipelineTokenizer::PipelineTokenizer(TokenizerJson parts, Bpe bpe)
    : parts_(std::move(parts)),
      bpe_(std::move(bpe)),
      raw_(OfPass(parts_, false)),
      normalized_(OfPass(parts_, true)) {
  for (std::size_t id = 0; id < parts_.texts.size(); ++id) {
    if (!parts_.texts[id].empty()) ids_.emplace(parts_.texts[id], static_cast<std::int32_t>(id));
  }
}

Result<std::unique_ptr<Tokenizer>> PipelineTokenizer::Create(
    TokenizerJson parts, std::string_view tokenizer_config_json) {
  Bpe bpe(std::move(parts.vocabulary));
  std::unique_ptr<PipelineTokenizer> tokenizer(
      new PipelineTokenizer(std::move(parts), std::move(bpe)));
  const auto find = [&tokenizer](std::string_view spelling) {
    return tokenizer->FindToken(spelling);
  };
  SpecialTokens defaults;
  const TokenizerJson& read = tokenizer->parts_;
  if (read.before.size() > 1 || read.after.size() > 1) {
    return InvalidArgumentError(
        "tokenizer.json: post_processor: puts several tokens on one side of a text; supported: one "
        "before, one after");
  }
  defaults.add_bos = !read.before.empty();
  defaults.add_eos = !read.after.empty();
  if (defaults.add_bos) defaults.bos = read.before[0];
  defaults.eos = defaults.add_eos ? std::optional(read.after[0]) : read.eos;
  TRIBUTARY_ASSIGN_OR_RETURN(tokenizer->special_,
                             ReadTokenizerConfig(tokenizer_config_json, defaults, find));
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

// `text` has no added tokens of the first pass.
Status PipelineTokenizer::EncodeText(std::string_view text, EncodeOptions options,
                                     std::vector<std::int32_t>* ids) {
  const std::string normal =
      Normalize(text, parts_.normalizer, options.place != TextPlace::kInside);
  for (const AddedTokens::Segment& segment : normalized_.Split(normal, options.special)) {
    if (segment.token) {
      ids->push_back(*segment.token);
      options.place = TextPlace::kAfterToken;
      continue;
    }
    TRIBUTARY_ASSIGN_OR_RETURN(const Pieces pieces,
                               CutIntoPieces(segment.text, parts_.pre_tokenizer, options.place));
    std::size_t begin = 0;
    for (const std::size_t end : pieces.ends) {
      bpe_.Encode(std::string_view(pieces.text).substr(begin, end - begin), ids);
      begin = end;
    }
  }
  return OkStatus();
}

Result<std::vector<std::int32_t>> PipelineTokenizer::Encode(std::string_view text,
                                                            EncodeOptions options) {
  std::vector<std::int32_t> ids;
  for (const AddedTokens::Segment& segment : raw_.Split(text, options.special)) {
    if (segment.token) {
      ids.push_back(*segment.token);
    } else {
      TRIBUTARY_RETURN_IF_ERROR(EncodeText(segment.text, options, &ids));
    }
    options.place = TextPlace::kAfterToken;
  }
  return ids;
}

bool PipelineTokenizer::SpellsSpecialToken(std::string_view text) const {
  // A plain segment is left as text, so that there is one token less.
  const auto differ = [](const AddedTokens& tokens, std::string_view searched) {
    const auto count = [&](SpecialText special) {
      const auto segments = tokens.Split(searched, special);
      return std::count_if(segments.begin(), segments.end(),
                           [](const AddedTokens::Segment& s) { return s.token.has_value(); });
    };
    return count(SpecialText::kTokens) != count(SpecialText::kPlain);
  };
  return differ(raw_, text) || differ(normalized_, Normalize(text, parts_.normalizer));
}

Result<std::string> PipelineTokenizer::Decode(const std::vector<std::int32_t>& ids) const {
  std::vector<std::string> texts;
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= VocabSize()) {
      return InvalidArgumentError("token id " + std::to_string(id) + "; must be 0.." +
                                  std::to_string(VocabSize() - 1));
    }
    texts.push_back(parts_.texts[static_cast<std::size_t>(id)]);
  }
  return DecodeTokens(std::move(texts), parts_.decoder);
}

std::optional<std::int32_t> PipelineTokenizer::FindToken(std::string_view spelling) const {
  const auto it = ids_.find(std::string(spelling));
  return it == ids_.end() ? std::nullopt : std::optional(it->second);
}

}  // namespace tributary::trainer
