#include "trainer/examples.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/files.h"
#include "core/json.h"
#include "core/text.h"

namespace tributary::trainer {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxDataBytes = std::size_t{8} << 30;
constexpr std::size_t kListedProblems = 10;

Status ReadText(const json& object, const char* key, std::string* out) {
  const auto it = object.find(key);
  if (it == object.end()) return InvalidArgumentError(std::string(key) + ": is missing");
  if (!it->is_string()) return InvalidArgumentError(std::string(key) + ": must be a string");
  *out = it->get<std::string>();
  return OkStatus();
}

Status ReadMessages(const json& list, std::vector<Message>* out) {
  if (!list.is_array()) return InvalidArgumentError("messages: must be a list");
  for (const json& item : list) {
    const std::string where = "messages[" + std::to_string(out->size()) + "]";
    if (!item.is_object()) return InvalidArgumentError(where + ": must be {role, content}");
    Message message;
    TRIBUTARY_RETURN_IF_ERROR(ReadText(item, "role", &message.role).Annotate(where));
    TRIBUTARY_RETURN_IF_ERROR(ReadText(item, "content", &message.content).Annotate(where));
    out->push_back(std::move(message));
  }
  TRIBUTARY_RETURN_IF_ERROR(CheckTurns(*out));
  if (out->back().role == "assistant") return OkStatus();
  return InvalidArgumentError("messages: must end with an assistant's message");
}

bool Has(const json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && !it->is_null();
}

}  // namespace

std::string_view ExampleKindName(ExampleKind kind) {
  switch (kind) {
    case ExampleKind::kCompletion:
      return "prompt/completion";
    case ExampleKind::kInstruction:
      return "instruction/input/output";
    case ExampleKind::kMessages:
      return "messages";
    case ExampleKind::kText:
      break;
  }
  return "text";
}

Result<TextExample> ParseExample(std::string_view line) {
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ParseJson(line, "line"));
  TextExample example;
  if (object.is_object() && Has(object, "messages")) {
    example.kind = ExampleKind::kMessages;
    TRIBUTARY_RETURN_IF_ERROR(ReadMessages(object["messages"], &example.messages));
    return example;
  }
  if (object.is_object() && Has(object, "instruction")) {
    example.kind = ExampleKind::kInstruction;
    TRIBUTARY_RETURN_IF_ERROR(ReadText(object, "instruction", &example.prompt));
    if (Has(object, "input")) TRIBUTARY_RETURN_IF_ERROR(ReadText(object, "input", &example.input));
    TRIBUTARY_RETURN_IF_ERROR(ReadText(object, "output", &example.completion));
    return example;
  }
  if (object.is_object() && Has(object, "prompt")) {
    example.kind = ExampleKind::kCompletion;
    TRIBUTARY_RETURN_IF_ERROR(ReadText(object, "prompt", &example.prompt));
    TRIBUTARY_RETURN_IF_ERROR(ReadText(object, "completion", &example.completion));
    return example;
  }
  if (object.is_object() && Has(object, "text")) {
    TRIBUTARY_RETURN_IF_ERROR(ReadText(object, "text", &example.text));
    return example;
  }
  return InvalidArgumentError(
      "must be an object with messages, or instruction and output, or prompt and completion, or "
      "text");
}

ExampleFile ParseExamples(std::string_view text) {
  ExampleFile file;
  std::int64_t number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    ++number;
    at = end + 1;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    Result<TextExample> example = ParseExample(line);
    if (example.ok()) {
      file.examples.push_back(*std::move(example));
      continue;
    }
    if (++file.bad.count <= static_cast<std::int64_t>(kListedProblems)) {
      file.bad.first.push_back(std::to_string(number) + ": " + example.status().message());
    }
  }
  return file;
}

Status CheckBadLines(const std::string& path, const BadLines& bad, std::int64_t allowed) {
  if (bad.count <= allowed) return OkStatus();
  std::string text;
  for (const std::string& line : bad.first) {
    text += (text.empty() ? "" : "; ") + path + ":" + line;
  }
  if (bad.count > static_cast<std::int64_t>(bad.first.size())) text += "; ...";
  return InvalidArgumentError(path + ": " + std::to_string(bad.count) +
                              (bad.count == 1 ? " bad line; " : " bad lines; ") +
                              std::to_string(allowed) + " allowed by max_bad_lines: " + text);
}

Result<std::string> ReadDataFile(const std::string& path) { return ReadFile(path, kMaxDataBytes); }

Result<ExampleFile> ReadExamples(const std::string& path, std::int64_t max_bad_lines) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string text, ReadDataFile(path));
  ExampleFile file = ParseExamples(text);
  TRIBUTARY_RETURN_IF_ERROR(CheckBadLines(path, file.bad, max_bad_lines));
  return file;
}

}  // namespace tributary::trainer
