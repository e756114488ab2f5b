#include "trainer/examples.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "core/files.h"
#include "core/json.h"
#include "core/json_members.h"
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

// The members that are read, parsed strictly; the others may be anything that Python writes.
Result<json> ReadWanted(std::string_view text, std::span<const std::string_view> wanted) {
  const auto members = MembersOf(text);
  if (!members.ok()) {
    TRIBUTARY_RETURN_IF_ERROR(ParseJson(text, "line").status());  // says better what is wrong
    return json();
  }
  json object = json::object();
  for (const auto& [key_text, value_text] : *members) {
    const Result<json> key = ParseJson(key_text, "key");
    const std::string name = key.ok() ? key->get<std::string>() : "";
    if (std::find(wanted.begin(), wanted.end(), name) == wanted.end()) continue;
    if (object.contains(name)) return InvalidArgumentError("key \"" + name + "\" appears twice");
    if (name == "messages" && value_text != "null") {
      object[name] = value_text;  // its members are chosen in turn
      continue;
    }
    TRIBUTARY_ASSIGN_OR_RETURN(object[name], ParseJson(value_text, name));
  }
  return object;
}

// Some data sets weigh messages, so that an answer of weight 0 carries no loss.
Status CheckWeight(const json& message) {
  const auto it = message.find("weight");
  if (it == message.end() || it->is_null() || *it == json(1)) return OkStatus();
  return InvalidArgumentError("weight: " + Excerpt(it->dump()) + " is not supported; supported: 1");
}

Status ReadMessages(const json& list, std::vector<Message>* out) {
  constexpr std::string_view kKeys[] = {"role", "content", "weight"};
  const auto items = ElementsOf(list.get_ref<const std::string&>());
  if (!items.ok()) return InvalidArgumentError("messages: must be a list");
  for (const std::string_view text : *items) {
    const std::string where = "messages[" + std::to_string(out->size()) + "]";
    TRIBUTARY_ASSIGN_OR_RETURN(const json item, ReadWanted(text, kKeys).Annotate(where));
    if (!item.is_object()) return InvalidArgumentError(where + ": must be {role, content}");
    TRIBUTARY_RETURN_IF_ERROR(CheckWeight(item).Annotate(where));
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

// What a file is that is not JSON lines, and how it becomes that; empty when it may be JSON lines.
std::string OtherKind(std::string_view text) {
  struct Kind {
    std::string_view begin, name;
  };
  constexpr std::string_view kNul("\0", 1);
  static const std::vector<Kind> kinds = {
      {"\x1f\x8b", "gzip, not JSON lines: unpack it with gunzip"},
      {"BZh", "bzip2, not JSON lines: unpack it with bunzip2"},
      {"\xfd"
       "7zXZ",
       "xz, not JSON lines: unpack it with unxz"},
      {"\x28\xb5\x2f\xfd", "Zstandard, not JSON lines: unpack it with unzstd"},
      {"PK\x03\x04", "a zip archive, not JSON lines: unpack it with unzip"},
      {"PAR1", "Parquet, not JSON lines: write it as JSON lines, for example with pandas"},
      {"ARROW1", "Arrow, not JSON lines: write it as JSON lines, for example with pandas"},
      {"version https://git-lfs.github.com/spec/",
       "a Git LFS pointer, not the data: fetch them with git lfs pull"},
      {"\xff\xfe", "UTF-16, not UTF-8: iconv -f UTF-16 -t UTF-8"},
      {"\xfe\xff", "UTF-16, not UTF-8: iconv -f UTF-16 -t UTF-8"},
      {"<!DOCTYPE", "a web page, not JSON lines: what was asked for was not what was downloaded"},
      {"<html", "a web page, not JSON lines: what was asked for was not what was downloaded"}};
  for (const Kind& kind : kinds) {
    if (text.starts_with(kind.begin)) return std::string(kind.name);
  }
  if (text.size() > 1 && (text.substr(0, 1) == kNul) != (text.substr(1, 1) == kNul)) {
    return "UTF-16 or UTF-32, not UTF-8: convert it with iconv";
  }
  const std::size_t first = std::min(text.find_first_not_of(" \t\r\n"), text.size());
  const std::string_view line = text.substr(first, text.find('\n', first) - first);
  if (line.starts_with('[')) return "one JSON array, not JSON lines: jq -c '.[]'";
  if (line == "{" || line == "{\r") return "JSON over several lines, not JSON lines: jq -c .";
  return "";
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
  if (line.find('\0') != std::string_view::npos) {
    return InvalidArgumentError("has NUL bytes, as a crash leaves them in what was being written");
  }
  if (line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);  // a mark that it is UTF-8
  if (!IsUtf8(line)) return InvalidArgumentError("is not UTF-8");
  constexpr std::string_view kKeys[] = {"messages", "instruction", "input", "output",
                                        "prompt",   "completion",  "text"};
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ReadWanted(line, kKeys));
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

ExampleFile ParseExamples(std::string_view text, std::int64_t first_line) {
  ExampleFile file;
  std::int64_t number = first_line - 1;
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

Status CheckDataSize(const std::string& path, std::uint64_t bytes) {
  if (bytes <= kMaxDataBytes) return OkStatus();
  return InvalidArgumentError(path + ": has " + std::to_string(bytes) + " bytes; at most " +
                              std::to_string(kMaxDataBytes) + ", split it");
}

Status CheckDataKind(const std::string& path, std::string_view begin) {
  const std::string kind = OtherKind(begin);
  return kind.empty() ? OkStatus() : InvalidArgumentError(path + ": is " + kind);
}

Result<std::string> ReadDataFile(const std::string& path) {
  if (const auto size = FileSize(path); size.ok()) {
    TRIBUTARY_RETURN_IF_ERROR(CheckDataSize(path, *size));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(std::string text, ReadFile(path, kMaxDataBytes));
  TRIBUTARY_RETURN_IF_ERROR(CheckDataKind(path, text));
  return text;
}

Result<ExampleFile> ReadExamples(const std::string& path, std::int64_t max_bad_lines) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string text, ReadDataFile(path));
  ExampleFile file = ParseExamples(text);
  TRIBUTARY_RETURN_IF_ERROR(CheckBadLines(path, file.bad, max_bad_lines));
  return file;
}

}  // namespace tributary::trainer
