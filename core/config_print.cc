// The effective configuration as YAML that the loader reads back.
#include <algorithm>
#include <array>
#include <charconv>

#include "core/config.h"

namespace tributary::config_internal {
namespace {

constexpr std::string_view kHidden = "<hidden>";
constexpr std::size_t kIndent = 2;

bool IsPlain(std::string_view text) {
  constexpr std::array<std::string_view, 9> kReserved = {"null", "true", "false", "yes", "no",
                                                         "on",   "off",  "n",     "y"};
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto allowed = [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '/' || c == '-' ||
           c == ':';
  };
  // "127.0.0.1:8443" is no number to anybody.
  const bool address = text.find('.') != text.npos && text.find(':') != text.npos;
  const bool begins = !text.empty() && (letter(text[0]) || text[0] == '/' || text[0] == '_');
  if (text.empty() || (!begins && !(address && text[0] >= '0' && text[0] <= '9'))) return false;
  return std::all_of(text.begin(), text.end(), allowed) && !text.ends_with(':') &&
         std::find(kReserved.begin(), kReserved.end(), text) == kReserved.end();
}

std::string DoubleText(double value) {
  std::array<char, 40> text{};
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() ? std::string(text.data(), end) : std::string();
}

struct ScalarText {
  bool secret;
  std::string operator()(std::string* v) const {
    return YamlText(secret && !v->empty() ? kHidden : std::string_view(*v));
  }
  std::string operator()(bool* v) const { return *v ? "true" : "false"; }
  std::string operator()(int* v) const { return std::to_string(*v); }
  std::string operator()(std::int64_t* v) const { return std::to_string(*v); }
  std::string operator()(std::uint64_t* v) const { return std::to_string(*v); }
  std::string operator()(double* v) const { return DoubleText(*v); }
  std::string operator()(std::chrono::seconds* v) const { return FormatDuration(*v); }
  std::string operator()(std::chrono::milliseconds* v) const { return FormatDuration(*v); }
  std::string operator()(ByteSize* v) const { return FormatByteSize(*v); }
  template <typename Ref>
  std::string operator()(const Ref&) const {
    return "";  // not a scalar; never asked
  }
};

class Printer final : public ConfigVisitor {
 public:
  Printer(std::size_t indent, bool with_docs) : indent_(indent), with_docs_(with_docs) {}

  std::string Take() && { return std::move(out_); }

  void Visit(std::string_view key, const Node& node, const FieldOptions& options) override {
    if (with_docs_ && !options.doc.empty()) {
      out_.append(indent_, ' ').append("# ").append(options.doc).append("\n");
    }
    out_.append(indent_, ' ').append(YamlText(key)).append(":");
    Value(node, options);
  }

 private:
  // What follows "key:" or "-", with the end of the line.
  void Value(const Node& node, const FieldOptions& options) {
    if (const auto* ref = std::get_if<OptionalRef>(&node.ref)) {
      if (!ref->has_value(ref->object)) {
        out_ += " null\n";
      } else {
        Value(ref->get(ref->object), options);
      }
    } else if (const auto* ref = std::get_if<StructRef>(&node.ref)) {
      Printer nested(indent_ + kIndent, with_docs_);
      ref->describe(ref->object, nested);
      Nested(std::move(nested).Take(), " {}\n");
    } else if (const auto* ref = std::get_if<ListRef>(&node.ref)) {
      Nested(List(*ref, options), " []\n");
    } else if (const auto* ref = std::get_if<MapRef>(&node.ref)) {
      Printer nested(indent_ + kIndent, with_docs_);
      FieldOptions each = options;
      each.doc.clear();
      for (const auto& [key, entry] : ref->entries(ref->object)) nested.Visit(key, entry, each);
      Nested(std::move(nested).Take(), " {}\n");
    } else {
      out_.append(" ").append(std::visit(ScalarText{options.secret}, node.ref)).append("\n");
    }
  }

  void Nested(const std::string& lines, std::string_view if_empty) {
    out_.append(lines.empty() ? if_empty : "\n").append(lines);
  }

  std::string List(const ListRef& ref, const FieldOptions& options) const {
    Printer items(indent_ + kIndent, with_docs_);
    for (std::size_t i = 0; i < ref.size(ref.object); ++i) {
      items.out_.append(items.indent_, ' ').append("-");
      items.Value(ref.at(ref.object, i), options);
    }
    return std::move(items).Take();
  }

  std::size_t indent_;
  bool with_docs_;
  std::string out_;
};

}  // namespace

std::string Print(const Node& root, bool with_docs) {
  Printer printer(0, with_docs);
  const StructRef& ref = std::get<StructRef>(root.ref);
  ref.describe(ref.object, printer);
  return std::move(printer).Take();
}

}  // namespace tributary::config_internal

namespace tributary {

std::string YamlText(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  if (config_internal::IsPlain(text)) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted.append("\\").append(1, c);
    } else if (c == '\n') {
      quoted += "\\n";
    } else if (byte < 0x20 || byte == 0x7F) {
      quoted.append("\\x").append(1, kHex[byte >> 4]).append(1, kHex[byte & 15]);
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

}  // namespace tributary
