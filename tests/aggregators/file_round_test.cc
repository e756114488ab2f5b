#include "aggregators/file_round.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <new>

#include "aggregators/team.h"
#include "core/random.h"
#include "tests/aggregators/round_harness.h"

namespace tributary::aggregators {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::size_t kStretch = std::size_t{256} << 10;  // of the engine, with few sites

// Three sites, weights 1, 2 and 5.
std::vector<SiteUpdate> ThreeSites(const std::vector<std::size_t>& sizes, DType dtype) {
  std::vector<SiteUpdate> updates;
  for (const auto& [site, weight] :
       std::vector<std::pair<std::string, int>>{{"a", 1}, {"b", 2}, {"c", 5}}) {
    SiteUpdate update = Sends(site, {}, weight);
    update.tensors.clear();
    update.dtype = dtype;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      update.tensors.push_back(
          {"t" + std::to_string(i), RandomFloats(sizes[i], HashName(site) + i)});
    }
    updates.push_back(std::move(update));
  }
  return updates;
}

std::vector<NamedFloats> Version(const std::vector<std::size_t>& sizes) {
  std::vector<NamedFloats> tensors;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    tensors.push_back({"t" + std::to_string(i), RandomFloats(sizes[i], 1000 + i)});
  }
  return tensors;
}

TEST(TeamTest, AWorkThatIsStoppedBeginsNothingMore) {
  std::atomic<bool> stop = false;
  std::atomic<int> done = 0;
  const TeamTask task = [&](unsigned, std::size_t) {
    if (++done == 3) stop = true;
    return OkStatus();
  };
  EXPECT_EQ(RunTeam(1, 100, {}, task, &stop).code(), StatusCode::kCancelled);
  EXPECT_EQ(done, 3);
}

class DTypeTest : public testing::TestWithParam<DType> {};

TEST_P(DTypeTest, FoldsEveryTensorOfEverySize) {
  const std::vector<std::size_t> sizes = {0, 1, 3, 4095, 4097, kStretch - 1, kStretch + 17};
  RoundHarness harness(Version(sizes));
  const auto updates = ThreeSites(sizes, GetParam());
  ASSERT_EQ(harness.Step(*MakeStrategy("fedavg"), updates), OkStatus());
  EXPECT_EQ(harness.output().next.written.digest, *Sha256OfFile(harness.output().next.path));
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    std::vector<float> expected = Version(sizes)[i].values;
    const std::vector<double> weights = {0.125, 0.25, 0.625};
    std::vector<double> sum(sizes[i]);
    for (std::size_t k = 0; k < 3; ++k) {
      const auto sent = AsSent(updates[k].tensors[i].values, GetParam());
      for (std::size_t j = 0; j < sizes[i]; ++j) sum[j] += weights[k] * sent[j];
    }
    const auto actual = harness.Global("t" + std::to_string(i));
    ASSERT_EQ(actual.size(), sizes[i]);
    for (std::size_t j = 0; j < sizes[i]; ++j) {
      ASSERT_NEAR(actual[j], expected[j] + sum[j], 1e-6) << i << " " << j;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(DTypes, DTypeTest,
                         testing::Values(DType::kF32, DType::kF16, DType::kBf16, DType::kI8),
                         [](const auto& info) { return std::string(DTypeName(info.param)); });

TEST(FileRoundTest, ThreadsBlocksAndArrivalDoNotChangeABit) {  // U3
  const std::vector<std::size_t> sizes = {5, 0, 70'001, kStretch + 3, 1};
  auto updates = ThreeSites(sizes, DType::kF32);
  std::map<std::string, Digest> expected;
  for (const unsigned threads : {1U, 2U, 3U}) {
    for (const std::size_t block : {std::size_t{0}, std::size_t{1000}, std::size_t{65'537}}) {
      RoundHarness harness(Version(sizes));
      harness.input().threads = threads;
      harness.input().block = block;
      std::rotate(updates.begin(), updates.begin() + 1, updates.end());
      ASSERT_EQ(harness.Step(*MakeStrategy("fedavg"), updates), OkStatus());
      if (expected.empty()) expected = harness.Digests();
      EXPECT_EQ(harness.Digests(), expected) << threads << " " << block;
    }
  }
}

TEST(FileRoundTest, FoldsManySmallTensors) {
  const std::vector<std::size_t> sizes(2000, 3);
  RoundHarness harness(Version(sizes));
  harness.input().threads = 3;
  ASSERT_EQ(harness.Step(*MakeStrategy("fedavg"), {ThreeSites(sizes, DType::kF32)[0]}), OkStatus());
  EXPECT_EQ(harness.Global("t1999")[0],
            RandomFloats(3, 2999)[0] + RandomFloats(3, HashName("a") + 1999)[0]);
}

TEST(FileRoundTest, ShapesAndNamesAreThoseOfTheGlobalAdapter) {
  RoundHarness harness(std::vector<NamedFloats>{{"b", {1, 2}, {2, 1}}, {"a", {3}, {}}});
  SiteUpdate update = Sends("s", {});
  update.tensors = {{"a", {1}, {}}, {"b", {1, 1}, {2, 1}}};
  ASSERT_EQ(harness.Step(*MakeStrategy("fedavg"), {update}), OkStatus());
  EXPECT_THAT(SafetensorsFile::Open(harness.input().global_path)->ToManifest(),
              ElementsAre(TensorSpec{"a", DType::kF32, {1}}, TensorSpec{"b", DType::kF32, {2, 1}}));
  EXPECT_THAT(harness.Global("b"), ElementsAre(2, 3));
}

TEST(FileRoundTest, AnUpdateOfAnotherManifestNamesItsSite) {  // U7
  RoundHarness harness(std::vector<NamedFloats>{{"t", {1, 2}}});
  SiteUpdate good = Sends("good", {});
  good.tensors = {{"t", {1, 1}}};
  for (const auto& [tensors, message] :
       std::vector<std::pair<std::vector<NamedFloats>, std::string>>{
           {{{"t", {1}}}, "tensor t has shape [1]; must be [2]"},
           {{{"u", {1, 1}}}, "tensor u is not part of the adapter; tensor t is missing"},
           {{{"t", {1, 1}}, {"u", {1}}}, "tensor u is not part of the adapter"}}) {
    SiteUpdate bad = Sends("bad", {});
    bad.tensors = tensors;
    EXPECT_EQ(harness.Step(*MakeStrategy("fedavg"), {good, bad}),
              InvalidArgumentError("update of site bad: " + message));
  }
  EXPECT_FALSE(PathExists(JoinPath(harness.directory(), "r1.next")));
}

TEST(FileRoundTest, ASecondUpdateOfASiteIsRefused) {  // U9
  RoundHarness harness({1});
  const auto updates = {Sends("a", {1}), Sends("b", {1}), Sends("a", {2})};
  EXPECT_EQ(harness.Step(*MakeStrategy("fedavg"), updates),
            InvalidArgumentError("update of site a: there are two; a round takes one from a site"));
}

TEST(FileRoundTest, IntegersAreNeverAveraged) {  // U10
  RoundHarness harness({1});
  SiteUpdate update = Sends("a", {1});
  update.dtype = DType::kI32;
  RoundInput input = harness.input();
  input.updates.push_back({update.contribution, harness.directory() + "/counts"});
  HostTensor counts{{"w", DType::kI32, {1}}, std::vector<std::byte>(4)};
  ASSERT_TRUE(WriteSafetensors(harness.directory() + "/counts", {counts}).ok());
  EXPECT_EQ(FoldRound(*MakeStrategy("fedavg"), input, harness.directory(), "x").status(),
            InvalidArgumentError("update of site a: tensor w has dtype I32; must be F32, F16, BF16 "
                                 "or I8"));
  input.global_path = harness.directory() + "/counts";
  EXPECT_THAT(
      FoldRound(*MakeStrategy("fedavg"), input, harness.directory(), "x").status().message(),
      HasSubstr("of the global adapter has dtype I32; must be F32"));
}

TEST(FileRoundTest, ScalesMustFitTheirTensor) {
  RoundHarness harness({1, 2});
  RoundInput input = harness.input();
  const std::string path = harness.directory() + "/quantised";
  input.updates.push_back({Sends("a", {}).contribution, path});
  const HostTensor values{{"w", DType::kI8, {2}}, std::vector<std::byte>(2)};
  ASSERT_TRUE(WriteSafetensors(path, {values}).ok());
  EXPECT_THAT(
      FoldRound(*MakeStrategy("fedavg"), input, harness.directory(), "x").status().message(),
      HasSubstr("tensor w.scale is missing"));
  EXPECT_THAT(ScanUpdate(*SafetensorsFile::Open(path)).status().message(),
              HasSubstr("no tensor w.scale of dtype F32 and shape [1]"));
}

TEST(FileRoundTest, AVersionThatIsNotFiniteIsNotMade) {
  const float huge = std::numeric_limits<float>::max();
  RoundHarness harness({huge});
  EXPECT_EQ(harness.Step(*MakeStrategy("fedavg"), {Sends("a", {huge})}),
            InvalidArgumentError("tensor w of the next version would hold a value that is not "
                                 "finite"));
  EXPECT_FALSE(PathExists(JoinPath(harness.directory(), "r1.next")));
}

// What a rule of its own would do wrong.
class Misbehaving final : public Aggregator {
 public:
  explicit Misbehaving(std::function<Status(Round&)> fold) : fold_(std::move(fold)) {}
  std::int64_t MinSites() const override { return 2; }
  TrainDirective Directive(std::int64_t) const override { return {}; }
  Status Fold(Round& round) const override { return fold_(round); }

 private:
  const std::function<Status(Round&)> fold_;
};

TEST(FileRoundTest, RefusesFewerSitesThanTheStrategyNeeds) {  // U11
  RoundHarness harness({1});
  const Misbehaving strategy([](Round&) { return OkStatus(); });
  EXPECT_EQ(harness.Step(strategy, {Sends("a", {1})}),
            InvalidArgumentError("1 updates; this strategy needs at least 2"));
}

TEST(FileRoundTest, AFoldMakesOneVersionAndFiniteNumbers) {
  const auto updates = {Sends("a", {1}), Sends("b", {1})};
  const auto keep = [](const Block&) {};
  RoundHarness harness({1});
  EXPECT_EQ(harness.Step(Misbehaving([](Round&) { return OkStatus(); }), updates),
            InternalError("the strategy made no version"));
  EXPECT_EQ(harness.Step(Misbehaving([&](Round& round) {
                           EXPECT_TRUE(round.FoldBlocks({}, keep).ok());
                           return round.FoldBlocks({}, keep);
                         }),
                         updates),
            InternalError("the next version of this round has been made"));
  EXPECT_EQ(harness.Step(Misbehaving([&](Round& round) {
                           round.numbers()["x"] = std::nan("");
                           return round.FoldBlocks({}, keep);
                         }),
                         updates),
            InvalidArgumentError("number x of the strategy's state is not finite"));
  EXPECT_THAT(*ListDirectory(harness.directory()), testing::Not(testing::Contains("r1.next")));
}

TEST(FileRoundTest, StateVectorsBeginAsZerosAndLast) {
  const Misbehaving count([](Round& round) {
    const std::vector<std::string> names = {"x", "y/z"};
    round.numbers()["rounds"] += 1;
    return round.FoldBlocks(names, [](const Block& block) {
      for (float& value : block.state[0]) value += 1;
      for (float& value : block.state[1]) value -= 2;
    });
  });
  const auto updates = {Sends("a", {1, 1}), Sends("b", {1, 1})};
  RoundHarness harness(std::vector<float>{5, 6});
  for (int round = 1; round <= 3; ++round) {
    EXPECT_THAT(harness.Fold(count, updates), ElementsAre(5, 6));
    EXPECT_THAT(harness.State("x"), ElementsAre(round, round));
    EXPECT_THAT(harness.State("y/z"), ElementsAre(-2 * round, -2 * round));
    EXPECT_EQ(harness.output().numbers.at("rounds"), round);
    EXPECT_EQ(harness.output().state.at("x").written.digest,
              *Sha256OfFile(harness.output().state.at("x").path));
  }
}

TEST(FileRoundTest, AStateVectorOfAnotherShapeIsNamed) {
  RoundHarness harness({1});
  WriteFloats(harness.directory() + "/old", {{"w", {1, 2}}});
  harness.input().state["m"] = harness.directory() + "/old";
  const Misbehaving strategy([](Round& round) {
    const std::vector<std::string> names = {"m"};
    return round.Measure(names).status();
  });
  EXPECT_THAT(harness.Step(strategy, {Sends("a", {1}), Sends("b", {1})}).message(),
              HasSubstr("state vector m: tensor w has shape [2]; must be [1]"));
}

TEST(FileRoundTest, MeasuresInnerProductsInFp64) {
  const std::size_t size = 200'001;
  RoundHarness harness(std::vector<float>(size, 0.0F));
  const std::vector<float> v = RandomFloats(size, 9);
  WriteFloats(harness.directory() + "/v", {{"w", v}});
  harness.input().state["v"] = harness.directory() + "/v";
  std::vector<SiteUpdate> updates;
  for (const char* site : {"a", "b", "c", "d", "e"}) {
    updates.push_back(Sends(site, RandomFloats(size, HashName(site))));
  }
  Geometry first;
  for (const unsigned threads : {1U, 2U, 3U}) {
    harness.input().threads = threads;
    const Misbehaving look([&](Round& round) -> Status {
      const std::vector<std::string> names = {"zeros", "v"};
      TRIBUTARY_ASSIGN_OR_RETURN(const Geometry geometry, round.Measure(names));
      if (first.count == 0) first = geometry;
      EXPECT_EQ(geometry.gram, first.gram);
      return round.FoldBlocks({}, [](const Block&) {});
    });
    ASSERT_EQ(harness.Step(look, updates), OkStatus());
  }
  ASSERT_EQ(first.count, 7U);
  std::vector<std::vector<float>> vectors;
  for (const auto& update : updates) vectors.push_back(update.tensors[0].values);
  vectors.emplace_back(size, 0.0F);
  vectors.push_back(v);
  for (std::size_t i = 0; i < 7; ++i) {
    for (std::size_t j = 0; j < 7; ++j) {
      double dot = 0;
      for (std::size_t p = 0; p < size; ++p) {
        dot += static_cast<double>(vectors[i][p]) * vectors[j][p];
      }
      EXPECT_NEAR(first.Dot(i, j), dot, 1e-9 * static_cast<double>(size)) << i << " " << j;
    }
  }
  EXPECT_EQ(first.SquaredDistance(1, 1), 0);
}

TEST(FileRoundTest, FindsThresholdsOfMagnitudes) {
  std::vector<float> values = RandomFloats(100'003, 3);
  values[17] = -4;
  values[18] = 0;
  RoundHarness harness(std::vector<NamedFloats>{{"empty", {}}, {"one", {1}}, {"w", values}});
  std::vector<SiteUpdate> updates;
  for (const char* site : {"a", "b"}) {
    SiteUpdate update = Sends(site, {});
    update.tensors = {{"empty", {}}, {"one", {-2}}, {"w", values}};
    updates.push_back(update);
  }
  std::vector<float> sorted = values;
  for (float& value : sorted) value = std::fabs(value);
  std::sort(sorted.rbegin(), sorted.rend());
  for (const double fraction : {1e-9, 0.2, 0.5, 1.0}) {
    const Misbehaving look([&](Round& round) -> Status {
      TRIBUTARY_ASSIGN_OR_RETURN(const auto thresholds, round.MagnitudeThresholds(fraction));
      const auto rank = static_cast<std::size_t>(std::ceil(fraction * 100'003));
      EXPECT_THAT(thresholds[0], ElementsAre(0, 2, sorted[rank - 1])) << fraction;
      EXPECT_EQ(thresholds[0], thresholds[1]);
      return round.FoldBlocks({}, [](const Block&) {});
    });
    ASSERT_EQ(harness.Step(look, updates), OkStatus());
  }
  EXPECT_FALSE(
      harness
          .Step(Misbehaving([](Round& round) { return round.MagnitudeThresholds(0).status(); }),
                updates)
          .ok());
}

// Kilobytes; the peak since the last ResetPeak().
std::int64_t Peak() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6));
  }
  return -1;
}
bool ResetPeak() { return static_cast<bool>(std::ofstream("/proc/self/clear_refs") << "5"); }

// 24 sites of 32 MiB: mapped pages that were read do not stay in memory.
TEST(FileRoundTest, HoldsAFewStretchesOfManySites) {
  const std::size_t size = std::size_t{8} << 20;
  RoundHarness harness(std::vector<float>(size, 1.0F));
  const std::string path = harness.directory() + "/update";
  WriteFloats(path, {{"w", std::vector<float>(size, 0.5F)}});
  RoundInput input = harness.input();
  for (int k = 0; k < 24; ++k) {
    input.updates.push_back({Sends("s" + std::to_string(k), {}).contribution, path});
  }
  if (!ResetPeak()) GTEST_SKIP() << "this system does not let a process reset its peak";
  const std::int64_t before = Peak();
  const auto output = FoldRound(*MakeStrategy("fedavg"), input, harness.directory(), "r");
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_LT(Peak() - before, 256 << 10);  // of 768 MiB
}

// A strategy that does `trouble` once before, and once in every block of, a plain fold.
class Troubled final : public Aggregator {
 public:
  Troubled(std::function<void()> before, std::function<void()> within)
      : before_(std::move(before)), within_(std::move(within)) {}
  std::int64_t MinSites() const override { return 1; }
  TrainDirective Directive(std::int64_t) const override { return {}; }
  Status Fold(Round& round) const override {
    before_();
    return round.FoldBlocks({}, [&](const Block& block) {
      within_();
      for (std::size_t i = 0; i < block.global.size(); ++i) block.global[i] += block.updates[0][i];
    });
  }

 private:
  const std::function<void()> before_, within_;
};

void Nothing() {}

TEST(FileRoundTest, MemoryThatIsNotEnoughIsAnErrorOfTheFoldOnEveryThread) {
  const auto exhausted = [] { throw std::bad_alloc(); };
  for (const unsigned threads : {1U, 4U}) {
    RoundHarness harness(RandomFloats(3 * kStretch, 1));
    harness.input().threads = threads;
    const auto updates = {Sends("a", RandomFloats(3 * kStretch, 2))};
    const auto files = *ListDirectory(harness.directory());
    for (const auto& aggregator : {Troubled(exhausted, Nothing), Troubled(Nothing, exhausted)}) {
      EXPECT_EQ(harness.Step(aggregator, updates).code(), StatusCode::kResourceExhausted);
    }
    EXPECT_EQ(ListDirectory(harness.directory())->size(), files.size() + 1) << "the update alone";
  }
}

TEST(FileRoundTest, AnUpdateThatIsShortenedMeanwhileIsNamedAndMakesNoVersion) {
  RoundHarness harness(RandomFloats(3 * kStretch, 1));
  const auto updates = {Sends("chem", RandomFloats(3 * kStretch, 2))};
  const std::string path = harness.directory() + "/r1.update-0";
  const Troubled shortens([&] { ASSERT_EQ(truncate(path.c_str(), 4096), 0); }, Nothing);
  const Status status = harness.Step(shortens, updates);
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("update of site chem: " + path));
  EXPECT_EQ(harness.input().number, 1);
}

TEST(ScanUpdateTest, AFileThatIsShortenedMeanwhileIsDamaged) {
  const TestDirectory directory;
  WriteFloats(directory / "u", {{"a", RandomFloats(kStretch, 1)}});
  const auto file = SafetensorsFile::Open(directory / "u", OnDamage::kReport);
  ASSERT_TRUE(file.ok());
  ASSERT_EQ(truncate((directory / "u").c_str(), 4096), 0);
  EXPECT_EQ(ScanUpdate(*file).status().code(), StatusCode::kDataLoss);
}

TEST(ScanUpdateTest, MeasuresTheNormOfTheUpdateAlone) {
  const TestDirectory directory;
  WriteFloats(directory / "u", {{"a", {3}}, {"b", {0, -4}}, {"second.a", {100}}});
  const auto scan = ScanUpdate(*SafetensorsFile::Open(directory / "u"));
  ASSERT_TRUE(scan.ok());
  EXPECT_TRUE(scan->finite);
  EXPECT_EQ(scan->norm, 5);
}

TEST(ScanUpdateTest, DoesNotTakeLargeForInfinite) {
  const float huge = std::numeric_limits<float>::max();
  const TestDirectory directory;
  WriteFloats(directory / "u", {{"a", {huge, -huge, huge}}});
  const auto scan = ScanUpdate(*SafetensorsFile::Open(directory / "u"));
  EXPECT_TRUE(scan->finite);
  EXPECT_TRUE(std::isfinite(scan->norm));
}

TEST(ScanUpdateTest, FindsEveryValueThatIsNotFinite) {  // U8
  const std::size_t block = std::size_t{64} << 10;
  const float infinity = std::numeric_limits<float>::infinity();
  const TestDirectory directory;
  for (const float bad : {std::nanf(""), infinity, -infinity}) {
    for (const std::size_t at : {std::size_t{0}, block - 1, block, 2 * block}) {
      std::vector<float> values(2 * block + 1, 1.0F);
      values[at] = bad;
      WriteFloats(directory / "u", {{"a", {1}}, {"b", values}, {"c", {bad}}});
      const auto scan = ScanUpdate(*SafetensorsFile::Open(directory / "u"));
      ASSERT_TRUE(scan.ok());
      EXPECT_FALSE(scan->finite);
      EXPECT_EQ(scan->first_bad_tensor, "b");
    }
  }
  WriteFloats(directory / "u", {{"a", {1}}, {"second.a", {infinity}}});
  EXPECT_FALSE(ScanUpdate(*SafetensorsFile::Open(directory / "u"))->finite);
}

TEST(ScanUpdateTest, ReadsEveryTypeThatTravels) {
  const TestDirectory directory;
  const std::vector<float> values = RandomFloats(70'000, 5);
  for (const DType dtype : {DType::kF16, DType::kBf16, DType::kI8}) {
    WriteUpdate(directory / "u", {{"t", values}}, dtype);
    const auto scan = ScanUpdate(*SafetensorsFile::Open(directory / "u"));
    ASSERT_TRUE(scan.ok()) << scan.status();
    double squares = 0;
    for (const float value : AsSent(values, dtype)) squares += static_cast<double>(value) * value;
    EXPECT_NEAR(scan->norm, std::sqrt(squares), 1e-9 * scan->norm);
  }
  HostTensor tensor{{"t", DType::kI32, {1}}, std::vector<std::byte>(4)};
  ASSERT_TRUE(WriteSafetensors(directory / "u", {tensor}).ok());
  EXPECT_THAT(ScanUpdate(*SafetensorsFile::Open(directory / "u")).status().message(),
              HasSubstr("tensor t has dtype I32; must be F32, F16, BF16 or I8"));
}

}  // namespace
}  // namespace tributary::aggregators
