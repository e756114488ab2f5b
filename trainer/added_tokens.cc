#include "trainer/added_tokens.h"

#include <algorithm>

#include "trainer/utf8.h"

namespace tributary::trainer {
namespace {

bool TouchesWord(std::string_view text, std::size_t begin, std::size_t end) {
  return (begin > 0 && IsWordCharacter(Utf8Before(text, begin).code_point)) ||
         (end < text.size() && IsWordCharacter(Utf8At(text, end).code_point));
}

std::size_t SkipSpaceBefore(std::string_view text, std::size_t begin) {
  while (begin > 0) {
    const Utf8Character before = Utf8Before(text, begin);
    if (!IsWhiteSpace(before.code_point)) break;
    begin -= before.bytes;
  }
  return begin;
}

std::size_t SkipSpaceAfter(std::string_view text, std::size_t end) {
  while (end < text.size()) {
    const Utf8Character after = Utf8At(text, end);
    if (!IsWhiteSpace(after.code_point)) break;
    end += after.bytes;
  }
  return end;
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens)
    : tokens_(std::move(tokens)), first_byte_(256) {
  std::erase_if(tokens_, [](const AddedToken& token) { return token.content.empty(); });
  std::stable_sort(tokens_.begin(), tokens_.end(), [](const AddedToken& a, const AddedToken& b) {
    return a.content.size() > b.content.size();
  });
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    first_byte_[static_cast<unsigned char>(tokens_[i].content[0])].push_back(i);
  }
}

const AddedToken* AddedTokens::LongestAt(std::string_view text, std::size_t at) const {
  for (const std::size_t index : first_byte_[static_cast<unsigned char>(text[at])]) {
    if (text.substr(at).starts_with(tokens_[index].content)) return &tokens_[index];
  }
  return nullptr;
}

std::vector<AddedTokens::Segment> AddedTokens::Split(std::string_view text,
                                                     SpecialText special) const {
  std::vector<Segment> segments;
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    const AddedToken* token = LongestAt(text, at);
    if (token == nullptr) {
      ++at;
      continue;
    }
    std::size_t begin = at;
    std::size_t end = at + token->content.size();
    at = end;  // also what is left as text is not looked into again
    if (token->special && special == SpecialText::kPlain) continue;
    if (token->single_word && TouchesWord(text, begin, end)) continue;
    if (token->lstrip) begin = std::max(SkipSpaceBefore(text, begin), done);
    if (token->rstrip) end = SkipSpaceAfter(text, end);
    if (done < begin) segments.push_back({text.substr(done, begin - done), std::nullopt});
    segments.push_back({{}, token->id});
    done = end;
  }
  if (done < text.size()) segments.push_back({text.substr(done), std::nullopt});
  return segments;
}

}  // namespace tributary::trainer
