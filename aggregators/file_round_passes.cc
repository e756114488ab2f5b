#include "aggregators/file_round_passes.h"

#include <algorithm>
#include <cmath>

#include "aggregators/kernels.h"

namespace tributary::aggregators {
namespace {

// Parameters. A stretch is long enough that its system calls cost little; the inputs' pages that a
// thread holds stay within 32 MiB, whatever the number of sites. Blocks are short enough that what
// is converted stays in the L2 cache.
constexpr std::size_t kStretch = std::size_t{256} << 10;
constexpr std::size_t kLeastStretch = std::size_t{16} << 10;
constexpr std::size_t kHeld = std::size_t{8} << 20;
constexpr std::size_t kBlock = std::size_t{64} << 10;
constexpr std::size_t kLeastConverted = std::size_t{1} << 10;
constexpr std::size_t kConverted = std::size_t{32} << 10;

Status RequireFloats(const Manifest& manifest) {
  for (const TensorSpec& spec : manifest) {
    if (spec.dtype != DType::kF32) {
      return InvalidArgumentError("tensor " + spec.name + " of the global adapter has dtype " +
                                  std::string(DTypeName(spec.dtype)) + "; must be F32");
    }
  }
  return OkStatus();
}

}  // namespace

Result<std::unique_ptr<FileRound>> FileRound::Open(RoundInput input,
                                                   const TrainDirective& directive,
                                                   const std::string& directory,
                                                   const std::string& prefix) {
  std::unique_ptr<FileRound> round(new FileRound);
  round->input_ = std::move(input);
  round->directory_ = directory;
  round->prefix_ = prefix;
  round->second_ = directive.offset == GradientOffset::kControlVariate;
  round->output_.numbers = round->input_.numbers;
  TRIBUTARY_ASSIGN_OR_RETURN(auto global,
                             SafetensorsFile::Open(round->input_.global_path, OnDamage::kReport));
  round->manifest_ = global.ToManifest();
  TRIBUTARY_RETURN_IF_ERROR(RequireFloats(round->manifest_));
  TRIBUTARY_ASSIGN_OR_RETURN(round->global_,
                             OpenVectorFile(round->input_.global_path, round->manifest_));
  auto modules = FindModules(round->manifest_);
  if (modules.ok()) {
    round->modules_ = *std::move(modules);
  } else {
    round->modules_status_ = modules.status();
  }
  TRIBUTARY_RETURN_IF_ERROR(round->OpenUpdates(directive));
  return round;
}

Status FileRound::OpenUpdates(const TrainDirective& directive) {
  auto& spooled = input_.updates;
  std::sort(spooled.begin(), spooled.end(),
            [](const auto& x, const auto& y) { return x.contribution.site < y.contribution.site; });
  for (SpooledUpdate& update : spooled) {
    const std::string context = "update of site " + update.contribution.site;
    if (!contributions_.empty() && contributions_.back().site == update.contribution.site) {
      return InvalidArgumentError(context + ": there are two; a round takes one from a site");
    }
    TRIBUTARY_RETURN_IF_ERROR(CheckRanks(&update.contribution).Annotate(context));
    UpdateLayout layout{&manifest_, directive.frozen, directive.keep_b_local, second_,
                        update.contribution.ranks};
    TRIBUTARY_ASSIGN_OR_RETURN(OpenUpdate open,
                               OpenUpdateFile(update.path, layout).Annotate(context));
    contributions_.push_back(std::move(update.contribution));
    updates_.push_back(std::move(open));
  }
  return OkStatus();
}

// All of the ranks are the same as no word about them.
Status FileRound::CheckRanks(Contribution* contribution) const {
  std::vector<std::int64_t>& ranks = contribution->ranks;
  if (ranks.empty()) return OkStatus();
  TRIBUTARY_RETURN_IF_ERROR(RequireModules());
  std::int64_t least = modules_[0].rank;
  bool all = true;
  for (const ModulePair& module : modules_) {
    least = std::min(least, module.rank);
    all = all && module.rank == static_cast<std::int64_t>(ranks.size());
  }
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    if (ranks[i] < 0 || ranks[i] >= least || (i > 0 && ranks[i] <= ranks[i - 1])) {
      return InvalidArgumentError("rank " + std::to_string(ranks[i]) +
                                  " of those that the site trained is wrong; must be ascending, "
                                  "in 0.." +
                                  std::to_string(least - 1));
    }
  }
  if (all) ranks.clear();
  return OkStatus();
}

Status FileRound::RequireEqualRanks() const {
  for (const Contribution& c : contributions_) {
    if (c.ranks.empty()) continue;
    return InvalidArgumentError("site " + c.site + " trains " + std::to_string(c.ranks.size()) +
                                " of " + std::to_string(modules_[0].rank) +
                                " ranks; this strategy needs sites of equal ranks: leave out "
                                "adapter.site_ranks or choose one that allows mixed ranks");
  }
  return OkStatus();
}

Status FileRound::RequireModules() const {
  TRIBUTARY_RETURN_IF_ERROR(modules_status_);
  if (!modules_.empty()) return OkStatus();
  return InvalidArgumentError("the adapter has no LoRA factors (tensors *" + std::string(kFactorA) +
                              " and *" + std::string(kFactorB) + ")");
}

Result<std::vector<OpenUpdate>> FileRound::OpenState(std::span<const std::string> names) const {
  std::vector<OpenUpdate> vectors;
  for (const std::string& name : names) {
    const auto it = input_.state.find(name);
    OpenUpdate zeros;
    zeros.tensors.resize(manifest_.size());
    if (it == input_.state.end()) {
      vectors.push_back(std::move(zeros));
      continue;
    }
    TRIBUTARY_ASSIGN_OR_RETURN(
        OpenUpdate vector, OpenVectorFile(it->second, manifest_).Annotate("state vector " + name));
    vectors.push_back(std::move(vector));
  }
  return vectors;
}

Status FileRound::CheckIntact(std::span<const OpenUpdate> vectors) const {
  TRIBUTARY_RETURN_IF_ERROR(global_.file->Intact());
  for (std::size_t k = 0; k < updates_.size(); ++k) {
    TRIBUTARY_RETURN_IF_ERROR(
        updates_[k].file->Intact().Annotate("update of site " + contributions_[k].site));
  }
  for (const OpenUpdate& vector : vectors) {
    if (vector.file) TRIBUTARY_RETURN_IF_ERROR(vector.file->Intact());
  }
  return OkStatus();
}

Result<FileRound::Output> FileRound::CreateOutput(const std::string& name) const {
  const std::string path = JoinPath(directory_, prefix_ + name);
  // State vectors are told apart by their digests, also those that are all zeros: who removes one
  // removes no other.
  std::map<std::string, std::string> metadata;
  if (name != "next") metadata["of"] = prefix_ + name;
  TRIBUTARY_ASSIGN_OR_RETURN(SafetensorsWriter writer,
                             SafetensorsWriter::Create(path, manifest_, metadata));
  return Output{path, std::move(writer)};
}

Status FileRound::FinishOutput(Output* output, RoundOutput::File* file) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto written, output->writer.Finish());
  *file = {output->path, written};
  paths_.push_back(output->path);
  return OkStatus();
}

Status FileRound::CheckFinite(const std::string& what, const Stretch& stretch,
                              std::span<const float> values) const {
  if (AllFinite(values)) return OkStatus();
  return InvalidArgumentError("tensor " + manifest_[stretch.tensor].name + " of " + what +
                              " would hold a value that is not finite");
}

std::size_t FileRound::StretchFor(std::size_t vectors) const {
  if (input_.block > 0) return 2 * input_.block;
  return std::clamp(kHeld / std::max<std::size_t>(1, vectors), kLeastStretch, kStretch);
}

std::size_t FileRound::BlockFor(std::size_t vectors) const {
  if (input_.block > 0) return input_.block;
  return std::clamp(kConverted / std::max<std::size_t>(1, vectors), kLeastConverted, kBlock);
}

// All tensors, or without the LoRA factors.
std::vector<Stretch> FileRound::Cut(std::size_t stretch, bool factors) const {
  std::vector<bool> left_out(manifest_.size());
  for (const ModulePair& module : modules_) {
    left_out[module.a] = left_out[module.b] = !factors;
  }
  std::vector<Stretch> stretches;
  for (std::size_t i = 0; i < manifest_.size(); ++i) {
    const std::size_t count = left_out[i] ? 0 : manifest_[i].ElementCount();
    for (std::size_t at = 0; at < count; at += stretch) {
      stretches.push_back({i, at, std::min(stretch, count - at)});
    }
  }
  return stretches;
}

void FileRound::LoadOutputs(const Stretch& stretch, std::span<const OpenUpdate> state,
                            BlockScratch* scratch) const {
  const auto load = [&](const OpenUpdate& from, std::vector<float>& out) {
    out.resize(stretch.count);
    const auto values = from.tensors[stretch.tensor].Read(stretch.begin, stretch.count, out.data());
    if (values.data() != out.data()) std::copy(values.begin(), values.end(), out.begin());
  };
  scratch->out.resize(1 + state.size());
  load(global_, scratch->out[0]);
  for (std::size_t s = 0; s < state.size(); ++s) load(state[s], scratch->out[1 + s]);
  scratch->state.resize(state.size());
}

// Leaves the outputs of the stretch in scratch->out.
void FileRound::FoldStretch(const Stretch& stretch, std::span<const OpenUpdate> state,
                            const BlockKernel& kernel, BlockScratch* scratch) const {
  const std::size_t sites = updates_.size();
  const std::size_t block = BlockFor(sites * VectorsPerSite());
  scratch->converted.resize(block * sites * VectorsPerSite());
  LoadOutputs(stretch, state, scratch);
  scratch->updates.resize(sites);
  scratch->second.resize(second_ ? sites : 0);
  for (std::size_t at = 0; at < stretch.count; at += block) {
    const std::size_t count = std::min(block, stretch.count - at);
    const std::size_t offset = stretch.begin + at;
    float* converted = scratch->converted.data();
    for (std::size_t k = 0; k < sites; ++k, converted += block) {
      scratch->updates[k] = updates_[k].tensors[stretch.tensor].Read(offset, count, converted);
    }
    for (std::size_t k = 0; k < scratch->second.size(); ++k, converted += block) {
      scratch->second[k] = updates_[k].second[stretch.tensor].Read(offset, count, converted);
    }
    for (std::size_t s = 0; s < state.size(); ++s) {
      scratch->state[s] = std::span(scratch->out[1 + s]).subspan(at, count);
    }
    kernel({manifest_[stretch.tensor].name, stretch.tensor, offset, scratch->updates,
            scratch->second, std::span(scratch->out[0]).subspan(at, count), scratch->state});
  }
}

// Each file has its own turns, so that threads append to several files at a time.
Status FileRound::AppendStretch(std::size_t item, const Stretch& stretch,
                                const BlockScratch& scratch, std::span<Turns> turns,
                                std::span<Output> outputs) const {
  for (std::size_t f = 0; f < outputs.size(); ++f) {
    const std::span<const float> values(scratch.out[f]);
    TRIBUTARY_RETURN_IF_ERROR(
        CheckFinite(f == 0 ? "the next version" : "a state vector", stretch, values));
    if (!turns[f].Wait(item)) return AbortedError("another thread failed");
    TRIBUTARY_RETURN_IF_ERROR(outputs[f].writer.Append(std::as_bytes(values)));
    turns[f].Pass();
  }
  return OkStatus();
}

// After the stretch's turn: nobody reads before its end any more, so the pages that the kernel
// mapped around it go as well, and none come back.
void FileRound::Release(const Stretch& stretch, std::span<const OpenUpdate> state) const {
  const auto release = [&](const TensorSource& source) {
    source.Release(stretch.begin, stretch.count);
  };
  release(global_.tensors[stretch.tensor]);
  for (const OpenUpdate& update : updates_) {
    release(update.tensors[stretch.tensor]);
    if (second_) release(update.second[stretch.tensor]);
  }
  for (const OpenUpdate& vector : state) release(vector.tensors[stretch.tensor]);
}

Status FileRound::FoldBlocks(std::span<const std::string> state, const BlockKernel& kernel) {
  return MakeVectors(
      state, [&](const Stretch& stretch, std::span<const OpenUpdate> vectors,
                 BlockScratch* scratch) { FoldStretch(stretch, vectors, kernel, scratch); });
}

Status FileRound::MakeVectors(std::span<const std::string> state, const StretchFold& fold) {
  if (made_) return InternalError("the next version of this round has been made");
  made_ = true;
  TRIBUTARY_RETURN_IF_ERROR(RequireEqualRanks());
  TRIBUTARY_ASSIGN_OR_RETURN(const auto vectors, OpenState(state));
  std::vector<Output> outputs;
  for (std::size_t f = 0; f <= state.size(); ++f) {
    TRIBUTARY_ASSIGN_OR_RETURN(Output output,
                               CreateOutput(f == 0 ? "next" : "state-" + std::to_string(f - 1)));
    outputs.push_back(std::move(output));
  }
  const std::size_t inputs = updates_.size() * VectorsPerSite() + state.size() + 1;
  const std::vector<Stretch> stretches = Cut(StretchFor(inputs), /*factors=*/true);
  std::vector<BlockScratch> scratch(std::max(1U, input_.threads));
  std::vector<Turns> turns(outputs.size());
  TRIBUTARY_RETURN_IF_ERROR(
      RunItems(stretches.size(), turns, [&](unsigned thread, std::size_t item) {
        fold(stretches[item], vectors, &scratch[thread]);
        const Status status = AppendStretch(item, stretches[item], scratch[thread], turns, outputs);
        Release(stretches[item], vectors);
        return status;
      }));
  TRIBUTARY_RETURN_IF_ERROR(CheckIntact(vectors));
  TRIBUTARY_RETURN_IF_ERROR(FinishOutput(&outputs[0], &output_.next));
  for (std::size_t s = 0; s < state.size(); ++s) {
    TRIBUTARY_RETURN_IF_ERROR(FinishOutput(&outputs[1 + s], &output_.state[state[s]]));
  }
  return OkStatus();
}

Result<RoundOutput> FileRound::TakeOutput() {
  if (!made_) return InternalError("the strategy made no version");
  for (const auto& [name, value] : output_.numbers) {
    if (!std::isfinite(value)) {
      return InvalidArgumentError("number " + name + " of the strategy's state is not finite");
    }
  }
  return std::move(output_);
}

void FileRound::Discard() {
  for (const std::string& path : paths_) (void)RemoveFile(path);
  paths_.clear();
}

}  // namespace tributary::aggregators
