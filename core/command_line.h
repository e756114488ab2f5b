// What a program's command line takes, from the parser that takes it: the manual pages and the
// shells' completions are made of the words that --help prints.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace tributary {

struct OptionText {
  std::vector<std::string> names;  // as typed, short ones first; none: a positional argument
  std::string value;               // a word for what it takes, in capitals; empty: a flag
  std::vector<std::string> choices;
  std::string description;
  std::string default_value;
  std::string variable;  // of the environment
  bool required = false;
};

struct CommandText {
  std::string name;
  std::string description;
  std::vector<OptionText> options;
  std::vector<CommandText> commands;
};

CommandText Describe(const CLI::App& app);

// Gives the program `--manual` and `--completion bash|zsh`, which print and end it. Neither is
// listed by --help: packages and deploy/ use them.
void AddSelfDescription(CLI::App* app, const std::string& version);

}  // namespace tributary
