#include "trainer/token_cache.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <utility>

#include "core/files.h"
#include "trainer/examples.h"

namespace tributary::trainer {
namespace {

using Seconds = std::chrono::duration<double>;

// Raise it whenever another sequence is made of the same line: lines, templates, tokenizers.
constexpr int kRules = 3;
constexpr std::string_view kSuffix = ".tokens";

struct KeptFile {
  std::string path;
  std::uint64_t bytes;
  std::time_t used;
};

// Of a file that this cache made: a digest and ".tokens", or what is still being written for it.
// Others in the directory are somebody else's.
bool IsOurs(std::string_view name) {
  constexpr std::size_t kDigits = 2 * sizeof(Digest);
  const auto hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (name.size() < kDigits || !std::all_of(name.begin(), name.begin() + kDigits, hex)) {
    return false;
  }
  const std::string_view rest = name.substr(kDigits);
  return rest == kSuffix || rest.starts_with(std::string(kSuffix) + ".tmp-");
}

Result<std::vector<KeptFile>> KeptFiles(const std::string& directory) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory));
  std::vector<KeptFile> files;
  for (const std::string& name : names) {
    if (!IsOurs(name)) continue;
    const std::string path = JoinPath(directory, name);
    struct stat facts;
    if (lstat(path.c_str(), &facts) != 0) continue;  // another trainer removed it
    if (!S_ISREG(facts.st_mode)) continue;
    files.push_back({path, static_cast<std::uint64_t>(facts.st_size), facts.st_mtime});
  }
  std::sort(files.begin(), files.end(),
            [](const KeptFile& a, const KeptFile& b) { return a.used < b.used; });
  return files;
}

std::string Counted(std::uint64_t count, const char* what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

}  // namespace

std::string TokenDirectory(const char* environment, const std::string& state) {
  const std::string text = environment != nullptr ? environment : "";
  if (text == "off") return "";
  if (!text.empty()) return text;
  return PathExists(state) ? JoinPath(state, "tokens") : "";
}

Result<TokenFile> TokenCache::Load(const std::string& path, const TokenizeOptions& options,
                                   std::int64_t max_bad_lines, Tokenizer* tokenizer) {
  const auto begin = std::chrono::steady_clock::now();
  Result<TokenFile> file = NotFoundError("");
  if (!settings_.directory.empty()) {
    TRIBUTARY_ASSIGN_OR_RETURN(const Digest data, Sha256OfFile(path));
    const Digest key = KeyOf(data, options);
    const std::string kept = PathOf(key);
    // EOS may come from config.json, and be beyond the tokenizer's own.
    file =
        OpenTokenFile(kept, key, std::max<std::int64_t>(tokenizer->VocabSize(), options.eos + 1));
    if (file.ok()) utimensat(AT_FDCWD, kept.c_str(), nullptr, 0);  // the order of removal
    if (!file.ok() && PathExists(kept)) Note(file.status());
  }
  if (file.ok()) {
    ++found_;
    TRIBUTARY_RETURN_IF_ERROR(CheckBadLines(path, file->bad, max_bad_lines));
  } else {
    ++made_;
    TRIBUTARY_ASSIGN_OR_RETURN(file, Make(path, options, max_bad_lines, tokenizer));
  }
  sequences_ += file->table->size();
  tokens_ += file->table->Arrays().ids.size();
  seconds_ += Seconds(std::chrono::steady_clock::now() - begin).count();
  return file;
}

Result<TokenFile> TokenCache::Make(const std::string& path, const TokenizeOptions& options,
                                   std::int64_t max_bad_lines, Tokenizer* tokenizer) {
  TRIBUTARY_ASSIGN_OR_RETURN(std::string text, ReadDataFile(path));
  // Of the text that was read: the file may have changed since it was hashed.
  const bool keep = !settings_.directory.empty();
  const Digest key = keep ? KeyOf(Sha256Of(text), options) : Digest();
  const ExampleFile examples = ParseExamples(text);
  text = std::string();  // may be gigabytes
  TRIBUTARY_RETURN_IF_ERROR(CheckBadLines(path, examples.bad, max_bad_lines));
  spelled_ += CountSpelledSpecial(examples.examples, *tokenizer);
  TRIBUTARY_ASSIGN_OR_RETURN(TokenTable table,
                             Tokenize(examples.examples, options, tokenizer).Annotate(path));
  TokenFile file{std::make_shared<TokenTable>(std::move(table)), examples.bad};
  if (keep) Note(Keep(key, file));
  return file;
}

Digest TokenCache::KeyOf(const Digest& data, const TokenizeOptions& options) const {
  return Sha256Of("tributary tokens " + std::to_string(kRules) + "\n" + data.ToHex() + "\n" +
                  tokenizer_.ToHex() + "\n" +
                  (options.chat != nullptr ? std::string(NameOf(*options.chat)) : "") + "\n" +
                  std::to_string(options.eos) + "\n");
}

std::string TokenCache::PathOf(const Digest& key) const {
  return JoinPath(settings_.directory, key.ToHex() + std::string(kSuffix));
}

Status TokenCache::Keep(const Digest& key, const TokenFile& file) {
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(settings_.directory));
  TRIBUTARY_RETURN_IF_ERROR(MakeRoom(TokenFileBytes(file)));
  return WriteTokenFile(PathOf(key), key, file);
}

Status TokenCache::MakeRoom(std::uint64_t bytes) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<KeptFile> files, KeptFiles(settings_.directory));
  std::uint64_t total = bytes;
  const auto too_much = [&] {
    return ResourceExhaustedError(settings_.directory + ": would hold " + std::to_string(total) +
                                  " bytes, at most " + std::to_string(settings_.max_bytes) +
                                  " are allowed");
  };
  if (bytes > settings_.max_bytes) return too_much();
  for (const KeptFile& file : files) total += file.bytes;
  const std::time_t spared = std::time(nullptr) - settings_.keep_seconds;
  for (const KeptFile& file : files) {
    if (total <= settings_.max_bytes || file.used > spared) break;
    TRIBUTARY_RETURN_IF_ERROR(RemoveFile(file.path));
    total -= file.bytes;
  }
  return total <= settings_.max_bytes ? OkStatus() : too_much();
}

void TokenCache::Note(const Status& problem) {
  if (problem_.empty() && !problem.ok()) problem_ = problem.message();
}

std::string TokenCache::Summary() const {
  std::array<char, 32> seconds{};
  std::snprintf(seconds.data(), seconds.size(), "%.2f", seconds_);
  std::string text = Counted(sequences_, "sequence") + ", " + Counted(tokens_, "token") + " in " +
                     seconds.data() + " s: " + Counted(static_cast<std::uint64_t>(made_), "file") +
                     " tokenised, " + std::to_string(found_) + " kept from before";
  if (spelled_ > 0) {
    text += "; " + Counted(static_cast<std::uint64_t>(spelled_), "example") +
            " with the letters of special tokens, which stay letters";
  }
  if (!problem_.empty()) text += "; tokens: " + problem_;
  return text;
}

}  // namespace tributary::trainer
