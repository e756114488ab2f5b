// Data files as token sequences, kept on the site's disk: a file is tokenised once, not for each
// task.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/sha256.h"
#include "core/status.h"
#include "trainer/token_file.h"
#include "trainer/tokenized_examples.h"
#include "trainer/tokenizer.h"

namespace tributary::trainer {

// What is kept is found by what it was made of: the SHA-256 of the data file and of the tokenizer's
// files, the template, EOS, and the version of the rules. Another length of sequences or number of
// allowed bad lines takes the same. The data file is read and hashed each time: its name, size and
// times can stay while it changes.
//
// Damaged files are made anew. Where the directory cannot be written, or is full, data are
// tokenised without it. Several trainers may use one directory at once. Not thread-safe.
class TokenCache {
 public:
  struct Settings {
    std::string directory;  // made when it is not there; empty: nothing is kept
    std::uint64_t max_bytes = std::uint64_t{16} << 30;
    // What was used since is not removed to make room: a job may have it mapped.
    std::int64_t keep_seconds = 2 * 24 * 3600;
  };

  TokenCache(Settings settings, const Digest& tokenizer)
      : settings_(std::move(settings)), tokenizer_(tokenizer) {}

  // The sequences of the data file at `path`. Fails with more than `max_bad_lines` bad lines.
  Result<TokenFile> Load(const std::string& path, const TokenizeOptions& options,
                         std::int64_t max_bad_lines, Tokenizer* tokenizer);

  // What was done, in one line for people; with the first reason why something was not kept.
  std::string Summary() const;

 private:
  Result<TokenFile> Make(const std::string& path, const TokenizeOptions& options,
                         std::int64_t max_bad_lines, Tokenizer* tokenizer);
  Digest KeyOf(const Digest& data, const TokenizeOptions& options) const;
  std::string PathOf(const Digest& key) const;
  Status Keep(const Digest& key, const TokenFile& file);
  Status MakeRoom(std::uint64_t bytes);
  void Note(const Status& problem);

  Settings settings_;
  Digest tokenizer_;
  std::int64_t made_ = 0, found_ = 0;
  std::int64_t spelled_ = 0;  // of CountSpelledSpecial, in the files that were made
  std::uint64_t sequences_ = 0, tokens_ = 0;
  double seconds_ = 0;
  std::string problem_;
};

// Where a task keeps its tokens, from TRIBUTARY_TOKEN_CACHE (a directory, or "off"); by default in
// `state`, if that is there.
std::string TokenDirectory(const char* environment, const std::string& state);

}  // namespace tributary::trainer
