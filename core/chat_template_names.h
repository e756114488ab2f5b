// The names of `data.template`: how conversations can be written. What they mean is the trainers'
// business (docs/data.md).
#pragma once

#include <array>
#include <string_view>

namespace tributary {

inline constexpr std::array<std::string_view, 9> kChatTemplateNames = {
    "alpaca", "chatml", "gemma", "llama2", "llama3", "mistral", "mistral-v3", "phi3", "zephyr",
};

}  // namespace tributary
