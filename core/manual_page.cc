#include "core/manual_page.h"

namespace tributary {
namespace {

// Text of one line, with nothing that roff takes for its own.
std::string Plain(const std::string& text) {
  std::string plain;
  for (const char c : text) {
    if (c == '\\') {
      plain += "\\e";
    } else if (c == '-') {
      plain += "\\-";
    } else {
      plain += c == '\n' ? ' ' : c;
    }
  }
  if (plain.starts_with('.') || plain.starts_with('\'')) plain.insert(0, "\\&");
  return plain;
}

std::string Bold(const std::string& text) { return "\\fB" + Plain(text) + "\\fR"; }
std::string Italic(const std::string& text) { return "\\fI" + Plain(text) + "\\fR"; }

std::string Heading(const OptionText& option) {
  std::string heading;
  for (const std::string& name : option.names) {
    heading.append(heading.empty() ? "" : ", ").append(Bold(name));
  }
  if (option.value.empty()) return heading;
  return heading.append(heading.empty() ? "" : " ").append(Italic(option.value));
}

std::string Body(const OptionText& option) {
  std::vector<std::string> notes;
  if (option.required) notes.push_back("required");
  if (!option.choices.empty()) {
    std::string choices = "one of";
    for (const std::string& choice : option.choices) {
      choices.append(&choice == &option.choices.front() ? " " : ", ").append(Bold(choice));
    }
    notes.push_back(std::move(choices));
  }
  if (!option.default_value.empty()) notes.push_back("default: " + Bold(option.default_value));
  if (!option.variable.empty()) notes.push_back("or the variable " + Bold(option.variable));
  std::string body = Plain(option.description);
  for (const std::string& note : notes) {
    body.append(body.empty() ? "" : "; ").append(note);
  }
  return body.empty() ? "\\&" : body;
}

std::string Options(const CommandText& command) {
  std::string text;
  for (const OptionText& option : command.options) {
    text += ".TP\n" + Heading(option) + "\n" + Body(option) + "\n";
  }
  return text;
}

// The words that must follow the command.
std::string Usage(const CommandText& command) {
  std::string usage = Bold(command.name) + " [" + Italic("options") + "]";
  for (const OptionText& option : command.options) {
    if (option.names.empty()) {
      const std::string word = Italic(option.value);
      usage += option.required ? " " + word : " [" + word + "]";
    } else if (option.required) {
      usage += " " + Bold(option.names.back()) + " " + Italic(option.value);
    }
  }
  return usage;
}

}  // namespace

std::string ManualPage(const CommandText& program, const std::string& version) {
  std::string page =
      ".TH " + program.name + " 1 \"\" \"Tributary " + version + "\" \"Tributary\"\n";
  page += ".SH NAME\n" + Plain(program.name) + " \\- " + Plain(program.description) + "\n";
  page += ".SH SYNOPSIS\n" + Usage(program);
  if (!program.commands.empty()) page += " " + Italic("COMMAND") + " ...";
  page += "\n.SH OPTIONS\n" + Options(program);
  if (program.commands.empty()) return page;
  page += ".SH COMMANDS\n";
  for (const CommandText& command : program.commands) {
    page += ".SS " + Usage(command) + "\n" + Plain(command.description) + "\n" + Options(command);
  }
  return page;
}

}  // namespace tributary
