// A federation in files: writes a version and updates, runs FoldRound, and goes on with what it
// made. For tests of strategies.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "aggregators/aggregator.h"
#include "aggregators/file_round.h"
#include "tests/core/test_files.h"

namespace tributary::aggregators {

// The tensor that most tests fold.
inline constexpr std::string_view kTensor = "w";

// What one site sends. `dtype` is that of every tensor in the file.
struct SiteUpdate {
  Contribution contribution;
  std::vector<NamedFloats> tensors;
  std::vector<NamedFloats> second = {};
  DType dtype = DType::kF32;
};

// One tensor kTensor; samples, tokens and steps are all `weight`.
SiteUpdate Sends(const std::string& site, std::vector<float> delta, std::int64_t weight = 1);
// Of one number, trained from a version that is so many behind.
SiteUpdate Stale(const std::string& site, float delta, std::int64_t staleness);
// One number of each of the sites sa, sb, ...
std::vector<SiteUpdate> Scalars(const std::vector<float>& values);

// Seeded, in (-1, 1).
std::vector<float> RandomFloats(std::size_t count, std::uint64_t seed);

// Of a strategy of the table; a failure to make it fails the test. `more` is the rest of the
// section.
std::unique_ptr<Aggregator> MakeStrategy(const std::string& kind,
                                         const std::map<std::string, std::string>& options = {},
                                         AggregatorSection more = {});
// Why the strategy cannot be made.
Status MakeError(const std::string& kind, const std::map<std::string, std::string>& options = {},
                 AggregatorSection more = {});

// Writes `tensors` in `dtype` (F32, F16, BF16, or I8 with scales); values are rounded to nearest.
void WriteUpdate(const std::string& path, const std::vector<NamedFloats>& tensors, DType dtype);

// What FoldRound reads in an update of `values` written in `dtype`.
std::vector<float> AsSent(const std::vector<float>& values, DType dtype);

// Goes from round to round. Not thread-safe.
class RoundHarness {
 public:
  explicit RoundHarness(std::vector<NamedFloats> global);
  // One tensor kTensor.
  explicit RoundHarness(std::vector<float> global);
  RoundHarness(std::initializer_list<float> global) : RoundHarness(std::vector<float>(global)) {}

  // Folds one round; on success its version, state and numbers are those of the next.
  Status Step(const Aggregator& aggregator, const std::vector<SiteUpdate>& updates);
  // The same, and the test fails with the error; the new values of kTensor.
  std::vector<float> Fold(const Aggregator& aggregator, const std::vector<SiteUpdate>& updates);

  std::vector<float> Global(std::string_view tensor = kTensor) const;
  std::vector<float> State(const std::string& name, std::string_view tensor = kTensor) const;
  bool HasState(const std::string& name) const { return input_.state.contains(name); }
  // Of the version and of every state vector, for comparisons bit by bit.
  std::map<std::string, Digest> Digests() const;

  // Of the next round: seed, registered sites (default: as many as contribute), threads, block
  // size, scale, numbers.
  RoundInput& input() { return input_; }
  const RoundOutput& output() const { return output_; }
  const std::string& directory() const { return directory_.path(); }

 private:
  const TestDirectory directory_;
  RoundInput input_;
  RoundOutput output_;
};

}  // namespace tributary::aggregators
