#include "trainer/token_decoder.h"

#include <charconv>
#include <optional>
#include <string_view>

#include "core/byte_alphabet.h"
#include "core/text.h"
#include "trainer/normalizer.h"

namespace tributary::trainer {
namespace {

using Tokens = std::vector<std::string>;

std::string Replace(const std::string& text, const std::string& pattern,
                    const std::string& content) {
  return Normalize(
      text, {{.kind = NormalizerStep::Kind::kReplace, .pattern = pattern, .content = content}});
}

std::string Join(const Tokens& tokens) {
  std::string text;
  for (const std::string& token : tokens) text += token;
  return text;
}

std::optional<char> ByteOf(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
  std::uint8_t byte = 0;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
  if (error != std::errc() || end != token.data() + 5) return std::nullopt;
  return static_cast<char>(byte);
}

Tokens JoinBytes(const Tokens& tokens) {
  Tokens out;
  std::string bytes;
  const auto flush = [&] {
    if (bytes.empty()) return;
    if (IsUtf8(bytes)) {
      out.push_back(bytes);
    } else {
      for (std::size_t i = 0; i < bytes.size(); ++i) out.emplace_back("\xEF\xBF\xBD");
    }
    bytes.clear();
  };
  for (const std::string& token : tokens) {
    if (const std::optional<char> byte = ByteOf(token)) {
      bytes += *byte;
    } else {
      flush();
      out.push_back(token);
    }
  }
  flush();
  return out;
}

std::string Strip(std::string_view text, const DecoderStep& step) {
  if (step.content.empty()) return std::string(text);
  for (std::int64_t i = 0; i < step.start && text.starts_with(step.content); ++i) {
    text.remove_prefix(step.content.size());
  }
  for (std::int64_t i = 0; i < step.stop && text.ends_with(step.content); ++i) {
    text.remove_suffix(step.content.size());
  }
  return std::string(text);
}

void Apply(const DecoderStep& step, Tokens* tokens) {
  using Kind = DecoderStep::Kind;
  if (step.kind == Kind::kFuse) *tokens = {Join(*tokens)};
  if (step.kind == Kind::kByteFallback) *tokens = JoinBytes(*tokens);
  for (std::size_t i = 0; i < tokens->size(); ++i) {
    std::string& token = (*tokens)[i];
    if (step.kind == Kind::kByteLevel) token = AlphabetToBytes(token).value_or(token);
    if (step.kind == Kind::kReplace) token = Replace(token, step.pattern, step.content);
    if (step.kind == Kind::kStrip) token = Strip(token, step);
    if (step.kind == Kind::kMetaspace) {
      token = Replace(token, step.pattern, i == 0 && step.strip_first ? "" : " ");
    }
  }
}

}  // namespace

std::string DecodeTokens(Tokens tokens, const std::vector<DecoderStep>& steps) {
  for (const DecoderStep& step : steps) Apply(step, &tokens);
  return Join(tokens);
}

}  // namespace tributary::trainer
