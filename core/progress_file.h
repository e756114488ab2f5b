// What a trainer has written about its progress.
#pragma once

#include <optional>
#include <string>

#include "core/task_contract.h"

namespace tributary {

// The last whole line of progress.jsonl in a task directory; none when there is no such line yet.
std::optional<ProgressLine> LastProgress(const std::string& task_directory);

// The "note" of that line, which tells people what is done before the first step; otherwise empty.
std::string LastProgressNote(const std::string& task_directory);

}  // namespace tributary
