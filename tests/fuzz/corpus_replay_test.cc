// The seeds of the fuzz targets, and mutations of them, in every ordinary build.
#include <gtest/gtest.h>

#include "core/random.h"
#include "tests/fuzz/fuzz_targets.h"

namespace tributary {
namespace {

// Flips, inserts, removes, repeats and splices bytes.
std::string Mutate(std::string bytes, const std::vector<std::string>& seeds, SplitMix64& random) {
  const auto place = [&](std::size_t size) { return random.Below(size + 1); };
  for (std::uint64_t edits = 1 + random.Below(4); edits > 0; --edits) {
    const std::size_t at = place(bytes.size());
    const std::size_t length = random.Below(9);
    switch (random.Below(5)) {
      case 0:
        if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.Below(8)));
        break;
      case 1:
        bytes.insert(at, 1, static_cast<char>(random.Next()));
        break;
      case 2:
        bytes.erase(at, length);
        break;
      case 3:
        bytes.insert(at, bytes.substr(at, length));
        break;
      default: {
        const std::string& other = seeds[random.Below(seeds.size())];
        bytes = bytes.substr(0, at) + other.substr(place(other.size()));
      }
    }
  }
  return bytes;
}

class CorpusReplayTest : public testing::TestWithParam<FuzzTarget> {};

TEST_P(CorpusReplayTest, SeedsAndTheirMutationsAreHandled) {
  const std::vector<std::string> seeds = GetParam().seeds();
  ASSERT_GT(seeds.size(), 5u);
  SplitMix64 random(HashName(GetParam().name));
  for (const std::string& seed : seeds) {
    GetParam().run(seed);
    for (int i = 0; i < 50; ++i) GetParam().run(Mutate(seed, seeds, random));
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, CorpusReplayTest,
                         testing::ValuesIn(FuzzTargets().begin(), FuzzTargets().end()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace tributary
