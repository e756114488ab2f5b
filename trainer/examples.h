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

// Lines of a file that are no examples.
struct BadLines {
  std::int64_t count = 0;
  std::vector<std::string> first;  // "<line>: ..." of the first ten
};

struct ExampleFile {
  std::vector<TextExample> examples;
  BadLines bad;  // left out
};

// The examples of a JSONL text, whose first line has this number; empty lines are skipped.
ExampleFile ParseExamples(std::string_view text, std::int64_t first_line = 1);

// Fails with more than `allowed` bad lines: names the first ten of `path` and how many there are.
Status CheckBadLines(const std::string& path, const BadLines& bad, std::int64_t allowed);

// Invalid argument for a size that is not read, and for what is no JSON lines at all, by its
// beginning: the message says what it is, and how it becomes that.
Status CheckDataSize(const std::string& path, std::uint64_t bytes);
Status CheckDataKind(const std::string& path, std::string_view begin);

// The text of a data file.
Result<std::string> ReadDataFile(const std::string& path);

// All of it: reads, parses, checks.
Result<ExampleFile> ReadExamples(const std::string& path, std::int64_t max_bad_lines = 0);

}  // namespace tributary::trainer
