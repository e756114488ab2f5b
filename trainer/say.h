// What the trainer tells people, on standard error.
#pragma once

#include <iostream>
#include <string_view>

namespace tributary::trainer {

inline void Say(std::string_view text) { std::cerr << "tributary-trainer: " << text << std::endl; }

}  // namespace tributary::trainer
