// Conversations as the models' makers write them, from a built-in table: docs/data.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "trainer/tokenizer.h"

namespace tributary::trainer {

struct Message {
  std::string role;  // system | user | assistant
  std::string content;
};

// A part of a sequence: one token, or text.
struct Segment {
  std::optional<std::int32_t> token;
  std::string text;
  bool loss = false;
};

struct ChatTemplate;  // a row of the table

std::vector<std::string> ChatTemplateNames();
// The error lists the known names.
Result<const ChatTemplate*> FindChatTemplate(std::string_view name);
// The one whose tokens the tokenizer has; null when there is none, or more than one.
const ChatTemplate* GuessChatTemplate(const Tokenizer& tokenizer);
std::string_view NameOf(const ChatTemplate& chat);

// At most one system message, first; then user and assistant in turn.
Status CheckTurns(const std::vector<Message>& messages);

// The sequence of a conversation that passes CheckTurns. Answers and what ends them carry loss.
// With a user's message last it ends where the answer begins. `eos` ends answers where the template
// asks for the model's own end. Fails when the tokenizer lacks a token of the template.
Result<std::vector<Segment>> RenderChat(const ChatTemplate& chat,
                                        const std::vector<Message>& messages,
                                        const Tokenizer& tokenizer, std::int32_t eos);

// Stanford Alpaca's prompt for an instruction, with its input unless that is empty.
std::string AlpacaPrompt(std::string_view instruction, std::string_view input);

}  // namespace tributary::trainer
