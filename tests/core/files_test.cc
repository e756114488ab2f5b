#include "core/files.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "tests/core/test_files.h"

// What was made durable, by name.
static std::vector<std::string> g_synced;  // NOLINT

extern "C" int fsync(int fd) {
  g_synced.push_back(std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd)));
  return static_cast<int>(syscall(SYS_fsync, fd));
}

namespace tributary {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(FilesTest, ReplacesAFileAndLeavesNothingElseBehind) {
  const TestDirectory directory;
  const std::string path = directory / "a";
  ASSERT_TRUE(WriteFileAtomic(path, "old", 0644).ok());
  ASSERT_TRUE(WriteFileAtomic(path, std::string("new\0bytes", 9), 0640).ok());
  EXPECT_EQ(*ReadFile(path), std::string("new\0bytes", 9));
  EXPECT_THAT(*ListDirectory(directory.path()), ElementsAre("a"));
  struct stat info {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0640U);
}

TEST(FilesTest, WritingIntoAMissingDirectoryIsNotFound) {
  const TestDirectory directory;
  const Status status = WriteFileAtomic(directory / "no/a", "x");
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr(directory / "no/a"));
}

TEST(FilesTest, RefusesToReadMoreThanTheLimit) {
  const TestDirectory directory;
  const std::string path = directory / "a";
  ASSERT_TRUE(WriteFileAtomic(path, "12345").ok());
  EXPECT_EQ(*ReadFile(path, 5), "12345");
  const Status status = ReadFile(path, 4).status();
  EXPECT_EQ(status.message(), path + ": is 5 bytes; must be at most 4");
}

TEST(FilesTest, ReadingWhatIsNoFileFails) {
  const TestDirectory directory;
  EXPECT_EQ(ReadFile(directory / "absent").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(ReadFile(directory.path()).status().message(),
            directory.path() + ": is not a regular file");
  EXPECT_FALSE(MappedFile::Open(directory.path()).ok());
}

TEST(FilesTest, ReadsTheTail) {
  const TestDirectory directory;
  ASSERT_TRUE(WriteFileAtomic(directory / "a", "0123456789").ok());
  EXPECT_EQ(*ReadFileTail(directory / "a", 4), "6789");
  EXPECT_EQ(*ReadFileTail(directory / "a", 10), "0123456789");
  EXPECT_EQ(*ReadFileTail(directory / "a", 99), "0123456789");
  EXPECT_EQ(*ReadFileTail(directory / "a", 0), "");
}

TEST(FilesTest, WritesAtAnOffset) {
  const TestDirectory directory;
  const auto file = OpenFile(directory / "a", O_RDWR | O_CREAT);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(WriteAll(file->get(), "abcdef", 6).ok());
  ASSERT_TRUE(WriteAll(file->get(), "XY", 2, 2).ok());
  EXPECT_EQ(*ReadFile(directory / "a"), "abXYef");
  EXPECT_EQ(WriteAll(-1, "x", 1).code(), ErrnoError("", EBADF).code());
}

TEST(FilesTest, ANewDirectoryIsDurableInItsParent) {
  const TestDirectory directory;
  g_synced.clear();
  ASSERT_TRUE(MakeDirectories(directory / "a/b").ok());
  EXPECT_THAT(g_synced, ElementsAre(directory.path(), directory / "a"));
  g_synced.clear();
  ASSERT_TRUE(MakeDirectories(directory / "a/b").ok());
  EXPECT_TRUE(g_synced.empty());
}

TEST(FilesTest, MakesDirectoriesOnTheWay) {
  const TestDirectory directory;
  ASSERT_TRUE(MakeDirectories(directory / "a/b//c").ok());
  ASSERT_TRUE(MakeDirectories(directory / "a/b/c/").ok());
  EXPECT_TRUE(PathExists(directory / "a/b/c"));
  ASSERT_TRUE(WriteFileAtomic(directory / "file", "").ok());
  EXPECT_FALSE(MakeDirectories(directory / "file").ok());
  EXPECT_FALSE(MakeDirectories(directory / "file/below").ok());
  EXPECT_FALSE(MakeDirectories("").ok());
}

TEST(FilesTest, RemovesTreesAndFilesThatMayBeAbsent) {
  const TestDirectory directory;
  ASSERT_TRUE(MakeDirectories(directory / "a/b").ok());
  ASSERT_TRUE(WriteFileAtomic(directory / "a/b/f", "x").ok());
  EXPECT_TRUE(RemoveFile(directory / "a/b/f").ok());
  EXPECT_TRUE(RemoveFile(directory / "a/b/f").ok());
  EXPECT_TRUE(RemoveTree(directory / "a").ok());
  EXPECT_TRUE(RemoveTree(directory / "a").ok());
  EXPECT_FALSE(PathExists(directory / "a"));
}

TEST(FilesTest, ListsSortedNames) {
  const TestDirectory directory;
  for (const char* name : {"b", "a", ".hidden"}) {
    ASSERT_TRUE(WriteFileAtomic(directory / name, "").ok());
  }
  EXPECT_THAT(*ListDirectory(directory.path()), ElementsAre(".hidden", "a", "b"));
  EXPECT_EQ(ListDirectory(directory / "absent").status().code(), StatusCode::kNotFound);
}

TEST(FilesTest, JoinsAndSplitsPaths) {
  EXPECT_EQ(JoinPath("a", "b"), "a/b");
  EXPECT_EQ(JoinPath("a/", "b"), "a/b");
  EXPECT_EQ(JoinPath("", "b"), "b");
  EXPECT_EQ(JoinPath("a", "/b"), "/b");
  EXPECT_EQ(DirectoryOf("a/b/c"), "a/b");
  EXPECT_EQ(DirectoryOf("/a"), "/");
  EXPECT_EQ(DirectoryOf("a"), ".");
}

TEST(FilesTest, RenamesDurably) {
  const TestDirectory directory;
  ASSERT_TRUE(WriteFileAtomic(directory / "a", "x").ok());
  ASSERT_TRUE(RenameDurably(directory / "a", directory / "b").ok());
  EXPECT_FALSE(PathExists(directory / "a"));
  EXPECT_EQ(*FileSize(directory / "b"), 1u);
  EXPECT_EQ(RenameDurably(directory / "a", directory / "b").code(), StatusCode::kNotFound);
}

TEST(FilesTest, ATemporaryDirectoryGoesWithItsContent) {
  std::string path;
  {
    auto directory = TemporaryDirectory::Create("tributary-test-");
    ASSERT_TRUE(directory.ok());
    const TemporaryDirectory moved = *std::move(directory);
    path = moved.path();
    ASSERT_TRUE(WriteFileAtomic(JoinPath(path, "f"), "x").ok());
  }
  EXPECT_FALSE(PathExists(path));
}

TEST(MappedFileTest, BytesStayWhereTheyAreWhenMoved) {
  const TestDirectory directory;
  ASSERT_TRUE(WriteFileAtomic(directory / "a", std::string(10000, 'x') + "end").ok());
  auto opened = MappedFile::Open(directory / "a");
  ASSERT_TRUE(opened.ok());
  const auto bytes = opened->bytes();
  MappedFile file;
  file = *std::move(opened);
  EXPECT_EQ(file.bytes().data(), bytes.data());
  file.Release(bytes);
  EXPECT_EQ(static_cast<char>(bytes[0]), 'x');
  EXPECT_EQ(static_cast<char>(bytes[10002]), 'd');
}

// The bytes of pages that are mapped but gone.
int SumOfPages(std::span<const std::byte> bytes) {
  int sum = 0;
  for (std::size_t at = 0; at < bytes.size(); at += 4096) sum += static_cast<int>(bytes[at]);
  return sum;
}

TEST(MappedFileTest, AFileThatIsShortenedReadsAsZerosAndSaysSo) {
  const TestDirectory directory;
  ASSERT_TRUE(WriteFileAtomic(directory / "a", std::string(std::size_t{64} << 10, 1)).ok());
  ASSERT_TRUE(WriteFileAtomic(directory / "b", std::string(std::size_t{64} << 10, 1)).ok());
  const auto whole = MappedFile::Open(directory / "b", OnDamage::kReport);
  auto opened = MappedFile::Open(directory / "a", OnDamage::kReport);
  ASSERT_TRUE(opened.ok());
  ASSERT_TRUE(whole.ok());
  ASSERT_EQ(truncate((directory / "a").c_str(), 3 * 4096), 0);
  EXPECT_EQ(SumOfPages(opened->bytes().first(3 * 4096)), 3);
  EXPECT_EQ(opened->Intact(), OkStatus());
  const MappedFile moved = *std::move(opened);
  EXPECT_EQ(SumOfPages(moved.bytes()), 3);
  EXPECT_EQ(moved.Intact().code(), StatusCode::kDataLoss);
  EXPECT_THAT(moved.Intact().message(), HasSubstr(directory / "a"));
  EXPECT_EQ(SumOfPages(whole->bytes()), 16);
  EXPECT_EQ(whole->Intact(), OkStatus());
}

TEST(MappedFileTest, AGuardThatIsUsedAgainKnowsNothingOfTheFileBefore) {
  const TestDirectory directory;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(WriteFileAtomic(directory / "a", std::string(std::size_t{64} << 10, 1)).ok());
    const auto file = MappedFile::Open(directory / "a", OnDamage::kReport);
    ASSERT_TRUE(file.ok());
    EXPECT_EQ(file->Intact(), OkStatus());
    ASSERT_EQ(truncate((directory / "a").c_str(), 0), 0);
    EXPECT_EQ(SumOfPages(file->bytes()), 0);
    EXPECT_FALSE(file->Intact().ok());
  }
}

TEST(MappedFileTest, ThreadsThatMeetDamageAtOnceAllGoOn) {
  const TestDirectory directory;
  ASSERT_TRUE(WriteFileAtomic(directory / "a", std::string(std::size_t{1} << 20, 1)).ok());
  const auto file = MappedFile::Open(directory / "a", OnDamage::kReport);
  ASSERT_TRUE(file.ok());
  ASSERT_EQ(truncate((directory / "a").c_str(), 0), 0);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { EXPECT_EQ(SumOfPages(file->bytes()), 0); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(file->Intact().ok());
}

TEST(MappedFileDeathTest, OneWithoutAGuardStillEndsTheProcess) {
  const TestDirectory directory;
  ASSERT_TRUE(WriteFileAtomic(directory / "a", std::string(8192, 1)).ok());
  ASSERT_TRUE(WriteFileAtomic(directory / "b", std::string(8192, 1)).ok());
  const auto guarded = MappedFile::Open(directory / "b", OnDamage::kReport);
  const auto file = MappedFile::Open(directory / "a");
  ASSERT_TRUE(file.ok());
  ASSERT_EQ(truncate((directory / "a").c_str(), 0), 0);
  EXPECT_DEATH(
      {
        const volatile int sum = SumOfPages(file->bytes());
        std::_Exit(sum == 7 ? 1 : 0);
      },
      "");
}

TEST(MappedFileTest, AnEmptyFileHasNoBytes) {
  const TestDirectory directory;
  ASSERT_TRUE(WriteFileAtomic(directory / "a", "").ok());
  const auto file = MappedFile::Open(directory / "a");
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(file->bytes().empty());
}

TEST(FileDescriptorTest, OwnsExactlyOneDescriptor) {
  const TestDirectory directory;
  auto opened = OpenFile(directory / "a", O_RDWR | O_CREAT);
  ASSERT_TRUE(opened.ok());
  FileDescriptor file = *std::move(opened);
  const int fd = file.get();
  FileDescriptor other = std::move(file);
  EXPECT_EQ(other.get(), fd);
  other.Reset();
  EXPECT_FALSE(other.valid());
  EXPECT_EQ(fcntl(fd, F_GETFD), -1);
}

// A system call would end the path at the NUL: another file than the one that was named.
TEST(FilesTest, APathWithANulIsRefusedByEveryFunction) {
  const TestDirectory directory;
  const std::string victim = directory / "victim";
  ASSERT_TRUE(WriteFileAtomic(victim, "mine").ok());
  const std::string nul = victim + std::string("\0.safetensors", 13);
  const std::string other = directory / "other";
  ASSERT_TRUE(WriteFileAtomic(other, "theirs").ok());
  EXPECT_FALSE(PathExists(nul));
  for (const Status& status :
       {OpenFile(nul, O_RDWR | O_CREAT | O_TRUNC).status(), ReadFile(nul).status(),
        ReadFileTail(nul, 1).status(), WriteFileAtomic(nul, "x"), RenameDurably(other, nul),
        RenameDurably(nul, other), LinkFile(other, nul).status(), LinkFile(nul, other).status(),
        MakeDirectories(nul), RemoveFile(nul), RemoveTree(nul), FileSize(nul).status(),
        ListDirectory(nul).status(), MappedFile::Open(nul).status(),
        TemporaryDirectory::CreateIn(nul, "x").status()}) {
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(status.message(), HasSubstr("has a NUL in it"));
  }
  EXPECT_EQ(*ReadFile(victim), "mine");
  EXPECT_EQ(*ReadFile(other), "theirs");
  EXPECT_THAT(*ListDirectory(directory.path()), ElementsAre("other", "victim"));
}

TEST(FilesTest, LinkingGivesASecondNameAndReplacesNothing) {
  const TestDirectory directory;
  ASSERT_TRUE(WriteFileAtomic(directory / "a", "1").ok());
  EXPECT_TRUE(*LinkFile(directory / "a", directory / "b"));
  ASSERT_TRUE(WriteFileAtomic(directory / "c", "2").ok());
  EXPECT_TRUE(*LinkFile(directory / "c", directory / "b"));
  EXPECT_EQ(*ReadFile(directory / "b"), "1");
  EXPECT_FALSE(*LinkFile(directory / "none", directory / "d"));
}

// Their size is 0 for whoever asks.
TEST(FilesTest, FilesOfTheKernelAreReadToTheirEnd) {
  const auto command = ReadFile("/proc/self/cmdline");
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_NE(command->find("core_tests"), std::string::npos);
  const auto maps = ReadFile("/proc/self/maps");  // longer than what is read at once
  ASSERT_TRUE(maps.ok()) << maps.status();
  EXPECT_GT(maps->size(), 4096U);
  EXPECT_EQ(maps->back(), '\n');
  EXPECT_EQ(ReadFile("/proc/self/maps", 100).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tributary
