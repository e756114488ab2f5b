#include "core/config_document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <optional>
#include <sstream>

#include "core/text.h"

namespace tributary::config_internal {
namespace {

// Ends the parse from within an event.
struct Refused {
  int line;
  std::string problem;
};

// Builds the tree from parser events, so that aliases, depth and tags are refused before anything
// is built of them.
class TreeBuilder final : public YAML::EventHandler {
 public:
  YamlValue Take() && { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Refuse(mark, "?", anchor);
    Add(mark, YamlNull{});
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refused{LineOf(mark), "aliases are not supported; write the value out"};
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    Refuse(mark, tag, anchor);
    // The text was checked; what the parser makes of the escapes \_ and \N is still a lone byte.
    if (!IsUtf8(text)) {
      throw Refused{LineOf(mark), "an escape stands for no UTF-8 text; write the character itself"};
    }
    const bool quoted = tag == "!";
    if (!quoted && (text == "~" || text == "null") && !ExpectsKey()) {
      Add(mark, YamlNull{});
    } else {
      Add(mark, YamlScalar{text, quoted});
    }
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Refuse(mark, tag, anchor);
    Open(mark, YamlList{});
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Refuse(mark, tag, anchor);
    Open(mark, YamlMap{});
  }
  void OnMapEnd() override { Close(); }

 private:
  struct OpenNode {
    YamlValue value;
    std::optional<YamlEntry> entry;  // of a map: its key was read, its value is due
  };

  static int LineOf(const YAML::Mark& mark) { return std::max(mark.line, 0) + 1; }

  void Refuse(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) const {
    if (anchor != YAML::NullAnchor) throw Refused{LineOf(mark), "anchors are not supported"};
    if (!tag.empty() && tag != "?" && tag != "!") {
      throw Refused{LineOf(mark), "tag \"" + Excerpt(tag) + "\" is not supported"};
    }
  }

  bool ExpectsKey() const {
    return !open_.empty() && std::holds_alternative<YamlMap>(open_.back().value.value) &&
           !open_.back().entry.has_value();
  }

  template <typename V>
  void Open(const YAML::Mark& mark, V value) {
    if (ExpectsKey()) throw Refused{LineOf(mark), "a key must be plain text"};
    if (open_.size() >= kMaxDocumentDepth) {
      throw Refused{LineOf(mark),
                    "nested deeper than " + std::to_string(kMaxDocumentDepth) + " levels"};
    }
    open_.push_back({YamlValue{LineOf(mark), std::move(value)}, std::nullopt});
  }

  void Close() {
    YamlValue value = std::move(open_.back().value);
    open_.pop_back();
    Place(std::move(value));
  }

  template <typename V>
  void Add(const YAML::Mark& mark, V value) {
    if (ExpectsKey()) {
      if constexpr (std::is_same_v<V, YamlScalar>) {
        open_.back().entry = YamlEntry{std::move(value.text), LineOf(mark), {}};
        return;
      }
      throw Refused{LineOf(mark), "a key must be plain text"};
    }
    Place(YamlValue{LineOf(mark), std::move(value)});
  }

  void Place(YamlValue value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return;
    }
    OpenNode& parent = open_.back();
    if (auto* list = std::get_if<YamlList>(&parent.value.value)) {
      list->push_back(std::move(value));
      return;
    }
    // The parser marks an absent value where the next token is: the key's line says more.
    if (std::holds_alternative<YamlNull>(value.value)) value.line = parent.entry->key_line;
    parent.entry->value = std::move(value);
    std::get<YamlMap>(parent.value.value).push_back(*std::move(parent.entry));
    parent.entry.reset();
  }

  YamlValue root_;
  std::vector<OpenNode> open_;
};

Status Problem(std::string_view name, int line, std::string_view problem) {
  return InvalidArgumentError(std::string(name) + ":" + std::to_string(line) + ": " +
                              std::string(problem));
}

// The first character that YAML text may not have, as an error; the parser would replace or misread
// it.
Status CheckCharacters(std::string_view text, std::string_view name) {
  int line = 1;
  std::size_t start = 0;
  while (start < text.size()) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view row = text.substr(start, end - start);
    if (!IsUtf8(row)) return Problem(name, line, "is not UTF-8 text");
    const bool control = std::any_of(row.begin(), row.end(), [](char c) {
      return (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\r') || c == 0x7F;
    });
    if (control) return Problem(name, line, "has a control character");
    start = end + 1;
    ++line;
  }
  return OkStatus();
}

// The parser reads a nest of brackets to its end before it tells of the first, in a time that grows
// with the depth: a second for a million of them. Quotes do not matter here: no text has so many.
Status CheckBrackets(std::string_view text, std::string_view name) {
  constexpr int kMaxOpen = 1000;
  int line = 1;
  int open = 0;
  for (const char c : text) {
    line += c == '\n' ? 1 : 0;
    open += c == '[' || c == '{' ? 1 : 0;
    open -= open > 0 && (c == ']' || c == '}') ? 1 : 0;
    if (open > kMaxOpen) {
      return Problem(name, line,
                     "nested deeper than " + std::to_string(kMaxDocumentDepth) + " levels");
    }
  }
  return OkStatus();
}

std::string LowerFirst(std::string text) {
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] + 32);
  return text;
}

}  // namespace

Result<YamlValue> ParseYamlDocument(std::string_view text, std::string_view name) {
  if (text.size() > kMaxDocumentBytes) {
    return InvalidArgumentError(std::string(name) + ": has " + std::to_string(text.size()) +
                                " bytes; at most " + std::to_string(kMaxDocumentBytes) +
                                " are allowed");
  }
  TRIBUTARY_RETURN_IF_ERROR(CheckCharacters(text, name));
  TRIBUTARY_RETURN_IF_ERROR(CheckBrackets(text, name));
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    TreeBuilder builder;
    if (!parser.HandleNextDocument(builder)) return YamlValue{};
    TreeBuilder second;
    if (parser.HandleNextDocument(second)) {
      return Problem(name, std::move(second).Take().line, "a second document; only one is allowed");
    }
    return std::move(builder).Take();
  } catch (const Refused& refused) {
    return Problem(name, refused.line, refused.problem);
  } catch (const YAML::Exception& error) {
    return Problem(name, std::max(error.mark.line, 0) + 1, LowerFirst(Excerpt(error.msg, 200)));
  } catch (const std::exception& error) {
    return Problem(name, 1, Excerpt(error.what(), 200));
  }
}

}  // namespace tributary::config_internal
