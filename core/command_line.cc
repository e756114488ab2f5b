#include "core/command_line.h"

#include <cctype>
#include <cstdio>

#include "core/manual_page.h"
#include "core/shell_completion.h"

namespace tributary {
namespace {

// The members of a type like TEXT:{train,evaluate}.
std::vector<std::string> ChoicesOf(const std::string& type) {
  std::vector<std::string> choices;
  const std::size_t begin = type.find('{');
  const std::size_t end = type.find('}');
  if (begin == std::string::npos || end == std::string::npos || end < begin) return choices;
  std::string word;
  for (const char c : type.substr(begin + 1, end - begin - 1) + ",") {
    if (c != ',') {
      word += c;
    } else if (!word.empty()) {
      choices.push_back(std::exchange(word, ""));
    }
  }
  return choices;
}

std::string Capitals(std::string text) {
  for (char& c : text) c = c == '-' ? '_' : static_cast<char>(std::toupper(c));
  return text;
}

OptionText DescribeOption(const CLI::Option& option) {
  OptionText text;
  for (const std::string& name : option.get_snames()) text.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) text.names.push_back("--" + name);
  if (option.get_expected_max() > 0) {
    text.choices = ChoicesOf(option.get_type_name());
    text.value =
        Capitals(option.get_lnames().empty() ? option.get_name(true) : option.get_lnames().front());
  }
  text.description = option.get_description();
  text.default_value = option.get_default_str();
  text.variable = option.get_envname();
  text.required = option.get_required();
  return text;
}

void EndAfter(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  throw CLI::Success();
}

}  // namespace

CommandText Describe(const CLI::App& app) {
  CommandText command;
  command.name = app.get_name();
  command.description = app.get_description();
  // The description of a whole program begins with its name; the parser's own is how it was called.
  if (const std::size_t colon = command.description.find(": ");
      app.get_parent() == nullptr && colon != std::string::npos) {
    command.name = command.description.substr(0, colon);
    command.description.erase(0, colon + 2);
  }
  for (const CLI::Option* option : app.get_options(nullptr)) {
    if (!option->get_group().empty()) command.options.push_back(DescribeOption(*option));
  }
  for (const CLI::App* each : app.get_subcommands(nullptr)) {
    if (!each->get_group().empty()) command.commands.push_back(Describe(*each));
  }
  return command;
}

void AddSelfDescription(CLI::App* app, const std::string& version) {
  app->add_flag_callback("--manual",
                         [app, version] { EndAfter(ManualPage(Describe(*app), version)); })
      ->group("");
  app->add_option_function<std::string>(
         "--completion",
         [app](const std::string& shell) {
           const CommandText command = Describe(*app);
           EndAfter(shell == "bash" ? BashCompletion(command) : ZshCompletion(command));
         })
      ->check(CLI::IsMember({"bash", "zsh"}))
      ->group("");
}

}  // namespace tributary
