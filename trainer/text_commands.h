// The commands of tributary-trainer that show a person what the trainer makes of text.
#pragma once

#include <cstdint>
#include <istream>
#include <ostream>
#include <string>

#include "core/status.h"
#include "trainer/tokenizer.h"

namespace tributary::trainer {

// `tributary-trainer tokenize`: for each JSON string of `in`, one a line, a line
// {"ids": [...], "text": "..."} with its tokens and what these decode to. An error names the line.
Status RunTokenize(const std::string& model_directory, SpecialText special, std::istream& in,
                   std::ostream& out);

struct DataCheckOptions {
  std::string model;          // directory
  std::string data;           // JSONL
  std::string chat_template;  // empty: as in training
  std::int64_t sequence_length = 256;
  std::int64_t samples = 0;  // sequences that are printed, the first of the file
  bool sequences = false;  // print all of them instead: {"ids": [...], "loss": [[begin, end], ...]}
};

// `tributary-trainer data-check`: what training would make of a file. Kinds of lines, lengths, what
// is cut or left out, bad lines; samples with the part that carries loss between >>> and <<<.
// Fails, after all is printed, when there are bad lines or when no example carries loss.
Status RunDataCheck(const DataCheckOptions& options, std::ostream& out);

}  // namespace tributary::trainer
