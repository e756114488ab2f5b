// Asks a person, line by line: what is in brackets is taken by Enter, and a wrong answer is said
// and asked for again.
#pragma once

#include <cstdio>
#include <functional>
#include <string>

#include "core/status.h"

namespace tributary::client {

class Questions {
 public:
  // Whether an answer will do, and if not why. May change it (a number of a list into what it
  // stands for).
  using Check = std::function<Status(std::string*)>;

  // Borrowed. Without `in` nobody is there: every question is answered by its fallback.
  Questions(std::FILE* in, std::FILE* out) : in_(in), out_(out) {}

  bool asks() const { return in_ != nullptr; }

  // The fallback is checked as well: one that will not do is asked for, or without anybody to ask,
  // the error. Fails, too, when the answers end.
  Result<std::string> Ask(
      const std::string& question, const std::string& fallback,
      const Check& check = [](std::string*) { return OkStatus(); });

  // A line of our own among the questions.
  void Say(const std::string& line);

 private:
  std::FILE* in_;
  std::FILE* out_;
};

}  // namespace tributary::client
