#include "core/json_members.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "core/json.h"
#include "core/text.h"

namespace tributary {
namespace {

// Goes through the text once, from left to right, without recursion. A missing part makes ok()
// false for good.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool ok() const { return ok_; }
  bool AtEnd() {
    SkipSpace();
    return at_ == text_.size();
  }
  bool Take(char c) {
    SkipSpace();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void Expect(char c) {
    if (!Take(c)) ok_ = false;
  }
  std::string_view String() {
    SkipSpace();
    const std::size_t begin = at_;
    if (at_ == text_.size() || text_[at_] != '"') ok_ = false;
    for (++at_; ok_ && at_ < text_.size() && text_[at_] != '"'; ++at_) {
      if (text_[at_] == '\\') ++at_;
    }
    if (at_ >= text_.size()) ok_ = false;
    return Since(begin, 1);
  }
  std::string_view Value() {
    SkipSpace();
    const std::size_t begin = at_;
    std::string closing;  // of the brackets that are open
    do {
      SkipSpace();
      const char c = at_ < text_.size() ? text_[at_] : '\0';
      if (c == '"') {
        String();
      } else if (c == '{' || c == '[') {
        closing.push_back(c == '{' ? '}' : ']');
        ++at_;
      } else if (!closing.empty() && c == closing.back()) {
        closing.pop_back();
        ++at_;
      } else if (!closing.empty() && (c == ',' || c == ':')) {
        ++at_;
      } else {
        Literal();
      }
    } while (ok_ && !closing.empty());
    return Since(begin, 0);
  }

 private:
  void SkipSpace() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }
  std::string_view Since(std::size_t begin, std::size_t more) {
    if (!ok_) return {};
    at_ += more;
    return text_.substr(begin, at_ - begin);
  }
  // A number, or a word of JSON's or Python's.
  void Literal() {
    const std::size_t end = std::min(text_.find_first_of(" \t\r\n,:]}[{\"", at_), text_.size());
    const std::string_view word = text_.substr(at_, end - at_);
    constexpr std::string_view kWords[] = {"true", "false", "null", "NaN", "Infinity", "-Infinity"};
    const bool known = std::find(std::begin(kWords), std::end(kWords), word) != std::end(kWords);
    const bool number = word.find_first_not_of("+-.0123456789eE") == std::string_view::npos;
    if (word.empty() || !(known || number)) ok_ = false;
    at_ = end;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace

Result<std::vector<JsonMember>> MembersOf(std::string_view text) {
  Scanner scanner(text);
  std::vector<JsonMember> members;
  scanner.Expect('{');
  while (scanner.ok() && !scanner.Take('}')) {
    if (!members.empty()) scanner.Expect(',');
    const std::string_view key = scanner.String();
    scanner.Expect(':');
    members.emplace_back(key, scanner.Value());
  }
  if (scanner.ok() && scanner.AtEnd()) return members;
  return InvalidArgumentError("is no JSON object");
}

Result<std::vector<std::string_view>> ElementsOf(std::string_view text) {
  Scanner scanner(text);
  std::vector<std::string_view> elements;
  scanner.Expect('[');
  while (scanner.ok() && !scanner.Take(']')) {
    if (!elements.empty()) scanner.Expect(',');
    elements.push_back(scanner.Value());
  }
  if (scanner.ok() && scanner.AtEnd()) return elements;
  return InvalidArgumentError("is no JSON array");
}

Result<nlohmann::json> ParseJsonMembers(std::string_view text, std::string_view what) {
  auto whole = ParseJson(text, what);
  if (whole.ok()) return whole;
  const auto members = MembersOf(text);
  if (!members.ok()) return whole.status();  // says better what is wrong
  nlohmann::json object = nlohmann::json::object();
  for (const auto& [key_text, value_text] : *members) {
    TRIBUTARY_ASSIGN_OR_RETURN(const nlohmann::json key, ParseJson(key_text, what));
    auto value = ParseJson(value_text, what);
    const bool twice = object.contains(key.get<std::string>());
    object[key.get<std::string>()] =
        value.ok() && !twice ? *std::move(value) : nlohmann::json(Excerpt(value_text));
  }
  return object;
}

}  // namespace tributary
