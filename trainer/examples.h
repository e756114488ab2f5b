// Training and evaluation examples as people write them: JSON lines. docs/data.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "trainer/chat_template.h"

namespace tributary::trainer {

enum class ExampleKind : std::uint8_t { kText, kCompletion, kInstruction, kMessages };
std::string_view ExampleKindName(ExampleKind kind);

struct TextExample {
  ExampleKind kind = ExampleKind::kText;
  std::string text;  // kText
  std::string prompt, input,
      completion;                 // kCompletion; kInstruction, where prompt is the instruction
  std::vector<Message> messages;  // kMessages, with an answer last
};

// One line. The error says what is wrong, without the place.
Result<TextExample> ParseExample(std::string_view line);

struct ExampleFile {
  std::vector<TextExample> examples;
  std::int64_t bad_lines = 0;         // left out
  std::vector<std::string> problems;  // "<path>:<line>: ..." of the first ten
};

// Reads a JSONL file; empty lines are skipped. With more than `max_bad_lines` lines that are no
// examples it fails, naming the first ten of them and how many there are.
Result<ExampleFile> ReadExamples(const std::string& path, std::int64_t max_bad_lines = 0);

}  // namespace tributary::trainer
