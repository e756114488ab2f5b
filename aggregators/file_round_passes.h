// The Round that FoldRound (file_round.h) gives an aggregator: passes over mapped files by a few
// threads. Memory: per thread one stretch of the outputs and the pages of the same stretch of the
// inputs; for modules, what one module needs.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "aggregators/file_round.h"
#include "aggregators/module_list.h"
#include "aggregators/round.h"
#include "aggregators/source_sum.h"
#include "aggregators/team.h"
#include "aggregators/update_file.h"
#include "core/train_directive.h"

namespace tributary::aggregators {

// Values that a scan widens to fp32 at a time.
inline constexpr std::size_t kScanBlock = std::size_t{64} << 10;

// Consecutive parameters of one tensor: what a thread does at a time.
struct Stretch {
  std::size_t tensor = 0;
  std::size_t begin = 0;
  std::size_t count = 0;
};

// Not thread-safe; its passes use threads of their own.
class FileRound final : public Round {
 public:
  // Files are made in `directory` with names that begin with `prefix`.
  static Result<std::unique_ptr<FileRound>> Open(RoundInput input, const TrainDirective& directive,
                                                 const std::string& directory,
                                                 const std::string& prefix);

  // After the fold. Internal error when it made no version, invalid argument when a number is not
  // finite.
  Result<RoundOutput> TakeOutput();
  // Data loss when what was read of the round's files, and of these, was not what they hold.
  Status CheckIntact(std::span<const OpenUpdate> vectors = {}) const;
  // Removes the files that were made.
  void Discard();

  std::int64_t number() const override { return input_.number; }
  std::uint64_t seed() const override { return input_.seed; }
  std::int64_t registered_sites() const override { return input_.registered_sites; }
  std::span<const Contribution> contributions() const override { return contributions_; }
  Result<std::vector<std::vector<float>>> MagnitudeThresholds(double fraction) override;
  Result<Geometry> Measure(std::span<const std::string> state) override;
  Status FoldBlocks(std::span<const std::string> state, const BlockKernel& kernel) override;
  Status FoldSum(std::span<const float> coefficients, std::span<const std::string> state,
                 const SumKernel& kernel) override;
  Status VisitModules(const ModuleVisitor& visit) override;
  std::size_t module_count() const override { return modules_.size(); }
  Status FoldModules(const ModuleKernel& kernel, const BlockKernel& others) override;
  std::map<std::string, double>& numbers() override { return output_.numbers; }

 private:
  // A file that a pass makes; stretches are appended in their order, from any thread.
  struct Output {
    std::string path;
    SafetensorsWriter writer;
  };
  // What a thread keeps between its items.
  struct BlockScratch {
    std::vector<float> converted;
    std::vector<std::vector<float>> out;  // the version, then the state vectors
    std::vector<std::span<const float>> updates, second;
    std::vector<std::span<float>> state;
    std::vector<float> sum;
    SourceSum sources;
  };
  struct ModuleScratch {
    std::vector<float> delta;
    std::vector<std::vector<float>> a, b;  // of every site, after training
    std::vector<float> global_a, global_b;
    std::vector<FactorView> sites;
    BlockScratch block;
  };
  struct ModulePass;

  FileRound() = default;
  Status OpenUpdates(const TrainDirective& directive);
  Status CheckRanks(Contribution* contribution) const;
  Status RequireEqualRanks() const;
  Status RequireModules() const;

  // RunTeam() with the round's threads, until the round is stopped.
  Status RunItems(std::size_t items, std::span<Turns> turns, const TeamTask& task) const {
    return RunTeam(input_.threads, items, turns, task, input_.stop);
  }

  // One vector for each of the named state vectors; zeros where there is none.
  Result<std::vector<OpenUpdate>> OpenState(std::span<const std::string> names) const;
  Result<Output> CreateOutput(const std::string& name) const;
  Status FinishOutput(Output* output, RoundOutput::File* file);
  Status CheckFinite(const std::string& what, const Stretch& stretch,
                     std::span<const float> values) const;

  std::vector<Stretch> Cut(std::size_t stretch, bool factors) const;
  std::size_t StretchFor(std::size_t vectors) const;
  std::size_t BlockFor(std::size_t vectors) const;
  std::size_t VectorsPerSite() const { return second_ ? 2 : 1; }
  // Makes the version and the state vectors, stretch by stretch; `fold` leaves them in
  // scratch->out.
  using StretchFold =
      std::function<void(const Stretch&, std::span<const OpenUpdate> state, BlockScratch*)>;
  Status MakeVectors(std::span<const std::string> state, const StretchFold& fold);
  // The current values, where the next ones will be.
  void LoadOutputs(const Stretch& stretch, std::span<const OpenUpdate> state,
                   BlockScratch* scratch) const;
  void FoldStretch(const Stretch& stretch, std::span<const OpenUpdate> state,
                   const BlockKernel& kernel, BlockScratch* scratch) const;
  void SumStretch(const Stretch& stretch, std::span<const float> coefficients,
                  const SumKernel& kernel, BlockScratch* scratch) const;
  Status AppendStretch(std::size_t item, const Stretch& stretch, const BlockScratch& scratch,
                       std::span<Turns> turns, std::span<Output> outputs) const;
  void Release(const Stretch& stretch, std::span<const OpenUpdate> state) const;

  void LoadModule(const ModulePair& pair, ModuleScratch* scratch, Module* module) const;
  void ReleaseModule(const ModulePair& pair) const;

  RoundInput input_;
  std::string directory_;
  std::string prefix_;
  OpenUpdate global_;
  Manifest manifest_;
  std::vector<ModulePair> modules_;
  Status modules_status_;  // why there are no modules, when factors do not fit together
  bool second_ = false;
  std::vector<Contribution> contributions_;
  std::vector<OpenUpdate> updates_;
  bool made_ = false;
  RoundOutput output_;
  std::vector<std::string> paths_;  // of finished files
};

}  // namespace tributary::aggregators
