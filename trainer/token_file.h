// A data file as token sequences, on disk: what TokenCache keeps.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/sha256.h"
#include "core/status.h"
#include "trainer/examples.h"
#include "trainer/token_table.h"

namespace tributary::trainer {

struct TokenFile {
  std::shared_ptr<const TokenTable> table;
  BadLines bad;
};

// Writes `file` so that a reader sees all of it or nothing, also after a power cut. `key` says what
// it was made of and is stored with it.
Status WriteTokenFile(const std::string& path, const Digest& key, const TokenFile& file);

// Maps `path` and verifies it: its digest, that it was made of `key`, that the arrays fit each
// other and that ids are below `vocab_size`. Nobody may shorten the file as long as its table
// lives; removing it is fine where the file system keeps what is open.
Result<TokenFile> OpenTokenFile(const std::string& path, const Digest& key,
                                std::int64_t vocab_size);

// The bytes that WriteTokenFile needs.
std::uint64_t TokenFileBytes(const TokenFile& file);

}  // namespace tributary::trainer
