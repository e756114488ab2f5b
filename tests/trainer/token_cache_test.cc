#include "trainer/token_cache.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "core/files.h"
#include "tests/trainer/byte_tokenizer.h"

namespace tributary::trainer {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

constexpr const char* kLines =
    "{\"prompt\": \"ab\", \"completion\": \"cd\"}\n"
    "nonsense\n"
    "{\"text\": \"efghij\"}\n"
    "{\"prompt\": \"a long question\", \"completion\": \"y\"}\n";

// What tells two tables apart.
std::vector<std::vector<std::int64_t>> Content(const TokenTable& table) {
  std::vector<std::vector<std::int64_t>> all;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const TokenExample example = table.At(i, 1000);
    std::vector<std::int64_t> row(example.ids.begin(), example.ids.end());
    for (const TokenExample::Span& span : example.loss) {
      row.insert(row.end(), {-1, span.begin, span.end});
    }
    all.push_back(row);
  }
  return all;
}

class TokenCacheTest : public testing::Test {
 protected:
  TokenCacheTest() { Write(kLines); }

  void Write(const std::string& text) { ASSERT_TRUE(WriteFileAtomic(data_, text).ok()); }
  TokenCache Open() const { return {settings_, Sha256Of("tokenizer")}; }
  Result<TokenFile> LoadWith(TokenCache* cache, const TokenizeOptions& options = {},
                             std::int64_t max_bad_lines = 1) const {
    const auto tokenizer = MakeByteTokenizer();
    return cache->Load(data_, options, max_bad_lines, tokenizer.get());
  }
  // A fresh trainer's view: what it got, and what it says.
  TokenFile Load(std::string* said = nullptr, const TokenizeOptions& options = {}) const {
    TokenCache cache = Open();
    auto file = LoadWith(&cache, options);
    EXPECT_TRUE(file.ok()) << file.status();
    if (said != nullptr) *said = cache.Summary();
    return file.ok() ? *std::move(file) : TokenFile{};
  }
  std::vector<std::string> Names() const {
    const auto names = ListDirectory(settings_.directory);
    return names.ok() ? *names : std::vector<std::string>();
  }
  std::string OnlyFile() const {
    EXPECT_THAT(Names(), SizeIs(1));
    return JoinPath(settings_.directory, Names().at(0));
  }
  // Sets when a file was used.
  static void Age(const std::string& path, std::time_t seconds) {
    const std::array<timespec, 2> times{
        {{std::time(nullptr) - seconds, 0}, {std::time(nullptr) - seconds, 0}}};
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times.data(), 0), 0);
  }

  TemporaryDirectory directory_ = std::move(TemporaryDirectory::Create("tokens-test")).value();
  std::string data_ = JoinPath(directory_.path(), "data.jsonl");
  TokenCache::Settings settings_{.directory = JoinPath(directory_.path(), "state/tokens")};
};

TEST_F(TokenCacheTest, GivesTheSameFromDisk) {
  std::string said;
  const TokenFile made = Load(&said);
  EXPECT_THAT(said, HasSubstr("3 sequences, 32 tokens in "));
  EXPECT_THAT(said, HasSubstr(": 1 file tokenised, 0 kept from before"));
  const TokenFile kept = Load(&said);
  EXPECT_THAT(said, HasSubstr(": 0 files tokenised, 1 kept from before"));
  EXPECT_THAT(Content(*kept.table), ElementsAreArray(Content(*made.table)));
  EXPECT_EQ(kept.bad.count, 1);
  EXPECT_EQ(kept.bad.first, made.bad.first);
  for (const std::int64_t length : {3, 5, 1000}) {
    Dataset one;
    Dataset other;
    one.Add(made.table, length);
    other.Add(kept.table, length);
    EXPECT_EQ(one.truncated, other.truncated);
    EXPECT_EQ(one.cut_off, other.cut_off);
    EXPECT_EQ(one.LossTokens(), other.LossTokens());
  }
}

TEST_F(TokenCacheTest, NamesBadLinesAsTheFirstReadingDid) {
  TokenCache fresh({}, {});
  const Status expected = LoadWith(&fresh, {}, 0).status();
  Load();
  TokenCache cache = Open();
  EXPECT_EQ(LoadWith(&cache, {}, 0).status().message(), expected.message());
  EXPECT_THAT(expected.message(), HasSubstr("data.jsonl:2: "));
}

TEST_F(TokenCacheTest, TellsDataTokenizerTemplateAndEndApart) {
  Load();
  struct stat before;
  ASSERT_EQ(stat(data_.c_str(), &before), 0);
  std::string other(kLines);
  std::replace(other.begin(), other.end(), 'f', 'g');
  Write(other);
  const std::array<timespec, 2> times{before.st_atim, before.st_mtim};
  ASSERT_EQ(utimensat(AT_FDCWD, data_.c_str(), times.data(), 0), 0);
  std::string said;
  const TokenFile changed = Load(&said);
  EXPECT_THAT(said, HasSubstr("1 file tokenised")) << "the same size and time, other bytes";
  EXPECT_EQ(Content(*changed.table).at(1).at(2), 2 + 'g');

  Load(&said, {.chat = *FindChatTemplate("zephyr")});
  EXPECT_THAT(said, HasSubstr("1 file tokenised"));
  Load(&said, {.eos = 7});
  EXPECT_THAT(said, HasSubstr("1 file tokenised"));
  TokenCache cache(settings_, Sha256Of("another tokenizer"));
  ASSERT_TRUE(LoadWith(&cache).ok());
  EXPECT_THAT(cache.Summary(), HasSubstr("1 file tokenised"));
  EXPECT_THAT(Names(), SizeIs(5));
}

TEST_F(TokenCacheTest, MakesADamagedFileAnew) {
  const auto expected = Content(*Load().table);
  const std::string path = OnlyFile();
  const std::string whole = *ReadFile(path);
  std::vector<std::string> damaged = {"", whole.substr(0, 40), whole.substr(0, whole.size() - 1),
                                      whole + "x"};
  for (std::size_t i = 0; i < whole.size(); i += 3) {
    damaged.push_back(whole);
    damaged.back()[i] = static_cast<char>(damaged.back()[i] ^ 4);
  }
  for (const std::string& bytes : damaged) {
    ASSERT_TRUE(WriteFileAtomic(path, bytes).ok());
    std::string said;
    ASSERT_THAT(Content(*Load(&said).table), ElementsAreArray(expected));
    ASSERT_THAT(said, HasSubstr("1 file tokenised"));
    ASSERT_EQ(*ReadFile(path), whole) << "made anew";
  }
}

TEST_F(TokenCacheTest, RefusesIdsThatTheTokenizerDoesNotHave) {
  Load();
  const std::string path = OnlyFile();
  const auto key = Digest::FromHex(Names().at(0).substr(0, 64));
  EXPECT_TRUE(OpenTokenFile(path, *key, 258).ok());
  EXPECT_FALSE(OpenTokenFile(path, *key, 100).ok());
  EXPECT_FALSE(OpenTokenFile(path, Sha256Of("other"), 258).ok());
}

TEST_F(TokenCacheTest, GoesOnWhereNothingCanBeWritten) {
  const auto expected = Content(*Load().table);
  settings_.directory = JoinPath(data_, "tokens");  // below a file
  std::string said;
  EXPECT_THAT(Content(*Load(&said).table), ElementsAreArray(expected));
  EXPECT_THAT(said, HasSubstr("; tokens: "));
  settings_.directory.clear();
  Load(&said);
  EXPECT_THAT(said, Not(HasSubstr("; tokens: ")));
}

TEST_F(TokenCacheTest, GoesOnWhereTheDiskIsFull) {
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{100, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  std::string said;
  const TokenFile file = Load(&said);
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(file.table->size(), 3U);
  EXPECT_THAT(said, HasSubstr("; tokens: "));
  EXPECT_THAT(Names(), IsEmpty()) << "nothing half-written stays";
}

TEST_F(TokenCacheTest, RemovesWhatWasNotUsedForLongest) {
  TokenizeOptions options;
  std::vector<std::string> paths;
  for (options.eos = 1; options.eos <= 3; ++options.eos) {
    const std::vector<std::string> before = Names();
    Load(nullptr, options);
    for (const std::string& name : Names()) {
      if (std::count(before.begin(), before.end(), name) == 0) {
        paths.push_back(JoinPath(settings_.directory, name));
      }
    }
  }
  settings_.max_bytes = *FileSize(paths.at(0)) * 3;
  Age(paths[0], 5L * 24 * 3600);
  Age(paths[1], 4L * 24 * 3600);
  Age(paths[2], 3L * 24 * 3600);
  options.eos = 1;
  Load(nullptr, options);  // used again
  options.eos = 4;
  std::string said;
  Load(&said, options);
  EXPECT_TRUE(PathExists(paths[0]));
  EXPECT_FALSE(PathExists(paths[1]));
  EXPECT_TRUE(PathExists(paths[2]));
  EXPECT_THAT(said, Not(HasSubstr("; tokens: ")));
  Age(paths[2], 3600);
  options.eos = 5;
  Load(&said, options);
  EXPECT_THAT(said, HasSubstr("; tokens: ")) << "a job may have the others mapped";
  EXPECT_THAT(Names(), SizeIs(3));
}

TEST_F(TokenCacheTest, LeavesTheFilesOfOthersAlone) {
  Load();
  const std::string ours = OnlyFile();
  const std::string other = JoinPath(settings_.directory, "wiki.train.tokens");
  ASSERT_TRUE(WriteFileAtomic(other, std::string(100'000, 'x')).ok());
  Age(other, 30L * 24 * 3600);
  Age(ours, 5L * 24 * 3600);
  settings_.max_bytes = 2'000;
  settings_.keep_seconds = 0;
  TokenizeOptions options;
  options.eos = 2;
  std::string said;
  Load(&said, options);
  EXPECT_TRUE(PathExists(other));
  EXPECT_THAT(said, Not(HasSubstr("; tokens: "))) << "theirs do not count";
}

TEST_F(TokenCacheTest, AnEndBeyondTheTokenizersVocabularyIsNoDamage) {
  TokenizeOptions options;
  options.eos = 100'000;  // of config.json
  Load(nullptr, options);
  std::string said;
  Load(&said, options);
  EXPECT_THAT(said, HasSubstr("1 kept from before"));
}

TEST_F(TokenCacheTest, AMappedFileOutlivesItsName) {
  const auto expected = Content(*Load().table);
  const TokenFile kept = Load();
  ASSERT_TRUE(RemoveFile(OnlyFile()).ok());
  EXPECT_THAT(Content(*kept.table), ElementsAreArray(expected));
}

TEST_F(TokenCacheTest, ServesSeveralTrainersAtOnce) {
  const auto expected = Content(*Load().table);
  ASSERT_TRUE(RemoveTree(settings_.directory).ok());
  std::vector<std::jthread> trainers;
  for (int i = 0; i < 4; ++i) {
    trainers.emplace_back([&] {
      for (int round = 0; round < 20; ++round) {
        EXPECT_EQ(Content(*Load().table), expected);
        if (round % 5 != 4) continue;
        for (const std::string& name : Names()) {
          EXPECT_TRUE(RemoveFile(JoinPath(settings_.directory, name)).ok());
        }
      }
    });
  }
}

TEST(TokenDirectoryTest, IsInTheTasksStateUnlessTheSiteSaysOtherwise) {
  EXPECT_EQ(TokenDirectory(nullptr, "/"), "/tokens");
  EXPECT_EQ(TokenDirectory("", "/"), "/tokens");
  EXPECT_EQ(TokenDirectory("/scratch/tokens", "/"), "/scratch/tokens");
  EXPECT_EQ(TokenDirectory("off", "/"), "");
  EXPECT_EQ(TokenDirectory(nullptr, "/not/there"), "");
}

}  // namespace
}  // namespace tributary::trainer
