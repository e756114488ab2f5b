#include "core/shell_completion.h"

namespace tributary {
namespace {

std::string Joined(const std::vector<std::string>& words, const char* between) {
  std::string text;
  for (const std::string& word : words) {
    text.append(&word == &words.front() ? "" : between).append(word);
  }
  return text;
}

std::string FunctionName(const std::string& program) {
  std::string name = "_" + program;
  for (char& c : name) {
    if (c == '-') c = '_';
  }
  return name;
}

std::vector<std::string> CommandNames(const CommandText& program) {
  std::vector<std::string> names;
  for (const CommandText& command : program.commands) names.push_back(command.name);
  return names;
}

std::vector<std::string> OptionNames(const CommandText& command) {
  std::vector<std::string> names;
  for (const OptionText& option : command.options) {
    names.insert(names.end(), option.names.begin(), option.names.end());
  }
  return names;
}

// In single quotes; what is special in a specification of _arguments loses its meaning.
std::string ZshText(const std::string& text, const char* special) {
  std::string quoted;
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      if (std::string(special).find(c) != std::string::npos) quoted += '\\';
      quoted += c == '\n' ? ' ' : c;
    }
  }
  return quoted;
}

std::string ZshValue(const OptionText& option) {
  if (option.value.empty()) return "";
  const std::string action =
      option.choices.empty() ? "_files" : "(" + Joined(option.choices, " ") + ")";
  return ":" + ZshText(option.value, ":\\") + ":" + action;
}

// A word of _arguments.
std::string ZshOption(const OptionText& option) {
  const std::string about = "[" + ZshText(option.description, "[]\\:") + "]" + ZshValue(option);
  if (option.names.empty()) {
    return "'" + std::string(option.required ? ":" : "::") + ZshText(option.value, ":\\") + ":" +
           (option.choices.empty() ? "_files" : "(" + Joined(option.choices, " ") + ")") + "'";
  }
  if (option.names.size() == 1) return "'" + option.names.front() + about + "'";
  return "'(" + Joined(option.names, " ") + ")'{" + Joined(option.names, ",") + "}'" + about + "'";
}

std::string ZshArguments(const CommandText& command, const char* indent) {
  std::string text;
  for (const OptionText& option : command.options) {
    text.append(" \\\n").append(indent).append(ZshOption(option));
  }
  return text;
}

}  // namespace

std::string BashCompletion(const CommandText& program) {
  const std::string function = FunctionName(program.name);
  const std::vector<std::string> commands = CommandNames(program);
  std::string text = "# bash completion for " + program.name + "\n" + function + "() {\n";
  text +=
      "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command= "
      "word words\n";
  if (!commands.empty()) {
    text += "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n    case $word in\n      " +
            Joined(commands, "|") + ") command=$word; break ;;\n    esac\n  done\n";
  }
  text += "  case $command,$previous in\n";
  const auto choices = [&](const CommandText& command, const std::string& name) {
    for (const OptionText& option : command.options) {
      if (option.value.empty() || option.names.empty()) continue;
      std::vector<std::string> patterns;
      for (const std::string& each : option.names) patterns.push_back(name + "," + each);
      if (option.choices.empty()) {  // files, which the shell offers by itself
        text += "    " + Joined(patterns, "|") + ") return ;;\n";
        continue;
      }
      text += "    " + Joined(patterns, "|") + ") COMPREPLY=($(compgen -W '" +
              Joined(option.choices, " ") + "' -- \"$current\")); return ;;\n";
    }
  };
  choices(program, "*");
  for (const CommandText& command : program.commands) choices(command, command.name);
  text += "  esac\n  case $command in\n    '') words='" + Joined(OptionNames(program), " ") + "'";
  if (!commands.empty()) {
    text += "; [[ $current == -* ]] || words='" + Joined(commands, " ") + "'";
  }
  text += " ;;\n";
  for (const CommandText& command : program.commands) {
    text += "    " + command.name + ") words='" + Joined(OptionNames(command), " ") + "' ;;\n";
  }
  text += "  esac\n";
  text +=
      "  [[ -n $command && $current != -* ]] || COMPREPLY=($(compgen -W \"$words\" -- "
      "\"$current\"))\n";
  return text + "}\ncomplete -o default -F " + function + " " + program.name + "\n";
}

std::string ZshCompletion(const CommandText& program) {
  std::string text = "#compdef " + program.name + "\n";
  if (program.commands.empty()) {
    return text + "_arguments -s" + ZshArguments(program, "  ") + "\n";
  }
  text += "local context state line\nlocal -a commands=(\n";
  for (const CommandText& command : program.commands) {
    text +=
        "  '" + ZshText(command.name, ":\\") + ":" + ZshText(command.description, ":\\") + "'\n";
  }
  text += ")\n_arguments -C -s" + ZshArguments(program, "  ") +
          " \\\n  '1:command:{_describe command commands}' \\\n  '*::argument:->arguments'\n";
  text += "[[ $state == arguments ]] || return 0\ncase $words[1] in\n";
  for (const CommandText& command : program.commands) {
    text +=
        "  " + command.name + ")\n    _arguments -s" + ZshArguments(command, "      ") + " ;;\n";
  }
  return text + "esac\n";
}

}  // namespace tributary
