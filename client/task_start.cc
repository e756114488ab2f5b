#include "client/task_start.h"

#include <algorithm>
#include <cstdio>

#include "client/rank_pruning.h"
#include "core/files.h"
#include "core/peft_adapter.h"
#include "core/tensor_file.h"
#include "core/text.h"

namespace tributary::client {
namespace {

constexpr std::string_view kOffsetFile = "gradient_offset.safetensors";
constexpr std::string_view kFoldFile = "merged/untrained_ranks.safetensors";
constexpr std::string_view kControlState = "control";

// Some ranks of a LoRA pair: rows of A [R, in], columns of B [out, R].
struct RankCut {
  const TensorReader& global;
  const std::vector<std::int64_t>& ranks;
  std::int64_t global_rank;

  // Values of the cut tensor that `source` holds whole.
  void Fill(std::string_view source, bool is_a, std::size_t columns, std::size_t offset,
            std::span<float> out) const {
    const std::span<const float> whole = global.Find(source);
    const auto width = is_a ? columns : static_cast<std::size_t>(global_rank);
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::size_t row = (offset + i) / columns;
      const std::size_t column = (offset + i) % columns;
      const std::size_t from_row = is_a ? static_cast<std::size_t>(ranks[row]) : row;
      const std::size_t from_column = is_a ? column : static_cast<std::size_t>(ranks[column]);
      out[i] = whole[from_row * width + from_column];
    }
  }
};

void CopyTensor(std::span<const float> from, std::size_t offset, std::span<float> out) {
  if (from.empty()) return std::fill(out.begin(), out.end(), 0.0F);
  std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
}

// The adapter of `ranks`; B from the site's own file where it keeps one.
Status WriteCut(const StartPaths& paths, const RankCut& cut, const TensorReader& local_b) {
  const auto site_rank = static_cast<std::int64_t>(cut.ranks.size());
  const Manifest manifest = TrainedManifest(cut.global.ToManifest(), site_rank);
  TRIBUTARY_RETURN_IF_ERROR(
      WriteTensorFile(paths.Start(), manifest,
                      [&](const TensorSpec& spec, std::size_t offset, std::span<float> out) {
                        const bool is_a = IsLoraA(spec.name);
                        const auto own = local_b.Find(spec.name);
                        if (own.size() == spec.ElementCount()) {
                          CopyTensor(own, offset, out);
                        } else if (is_a || IsLoraB(spec.name)) {
                          cut.Fill(spec.name, is_a, static_cast<std::size_t>(spec.shape[1]), offset,
                                   out);
                        } else {
                          CopyTensor(cut.global.Find(spec.name), offset, out);
                        }
                      })
          .status());
  return local_b.Intact();
}

std::string ModuleOf(std::string_view tensor, std::string_view suffix) {
  return std::string(tensor.substr(0, tensor.size() - suffix.size()));
}

// The ranks that the site does not train, as a product for its base weights.
Status WriteFold(const std::string& path, const RankCut& cut, double scale) {
  const auto rank = static_cast<std::int64_t>(cut.ranks.size());
  Manifest manifest;
  for (const TensorSpec& spec : cut.global.ToManifest()) {
    if (IsLoraA(spec.name)) {
      manifest.push_back({ModuleOf(spec.name, ".lora_A.weight") + std::string(kMergedSuffixA),
                          DType::kF32,
                          {rank, spec.shape[1]}});
    } else if (IsLoraB(spec.name)) {
      manifest.push_back({ModuleOf(spec.name, ".lora_B.weight") + std::string(kMergedSuffixB),
                          DType::kF32,
                          {spec.shape[0], rank}});
    }
  }
  return WriteTensorFile(path, manifest,
                         [&](const TensorSpec& spec, std::size_t offset, std::span<float> out) {
                           const bool is_a = spec.name.ends_with(kMergedSuffixA);
                           const std::string source = ModuleOf(spec.name, kMergedSuffixA) +
                                                      (is_a ? ".lora_A.weight" : ".lora_B.weight");
                           cut.Fill(source, is_a, static_cast<std::size_t>(spec.shape[1]), offset,
                                    out);
                           if (is_a) return;
                           for (float& value : out) value = static_cast<float>(value * scale);
                         })
      .status();
}

Status LinkStart(const StartPaths& paths) {
  TRIBUTARY_RETURN_IF_ERROR(RemoveFile(paths.Start()));  // of an earlier life of the task
  TRIBUTARY_ASSIGN_OR_RETURN(const bool made, LinkFile(paths.Version(), paths.Start()));
  return made ? OkStatus() : NotFoundError(paths.Version() + " is not there");
}

// c - c_k, or -q_k. Files that are not there yet are zeros.
Status WriteOffset(const StartPaths& paths, GradientOffset offset) {
  const bool control = offset == GradientOffset::kControlVariate;
  TRIBUTARY_ASSIGN_OR_RETURN(const auto start,
                             TensorReader::Open(paths.Start(), OnDamage::kReport));
  TRIBUTARY_ASSIGN_OR_RETURN(
      const auto own, TensorReader::Open(JoinPath(paths.state, control ? kControlFile : kDualFile),
                                         OnDamage::kReport));
  TRIBUTARY_ASSIGN_OR_RETURN(
      const auto common,
      TensorReader::Open(control ? paths.ServerState(std::string(kControlState)) : "",
                         OnDamage::kReport));
  const Manifest manifest = start.ToManifest();
  TRIBUTARY_RETURN_IF_ERROR(common.CheckFits(manifest).Annotate("server state"));
  TRIBUTARY_RETURN_IF_ERROR(
      WriteTensorFile(JoinPath(paths.directory, kOffsetFile), manifest,
                      [&](const TensorSpec& spec, std::size_t at, std::span<float> out) {
                        CopyTensor(common.Find(spec.name), at, out);
                        const auto minus = own.Find(spec.name);
                        if (minus.size() != spec.ElementCount()) return;
                        for (std::size_t i = 0; i < out.size(); ++i) out[i] -= minus[at + i];
                      })
          .status());
  TRIBUTARY_RETURN_IF_ERROR(common.Intact());
  return own.Intact();
}

// The global version, as the offer announced it.
Result<TensorReader> OpenVersion(const StartPaths& paths, const v1::CampaignOffer& offer) {
  TRIBUTARY_ASSIGN_OR_RETURN(TensorReader version,
                             TensorReader::Open(paths.Version(), OnDamage::kReport));
  TRIBUTARY_RETURN_IF_ERROR(
      CheckManifest(OfferedManifest(offer), version.ToManifest()).Annotate("global version"));
  return version;
}

// Its factors are pairs of `rank` ranks.
Status CheckPairs(const TensorReader& version, std::int64_t rank) {
  const Manifest manifest = version.ToManifest();
  TRIBUTARY_RETURN_IF_ERROR(CheckLoraPairs(manifest).Annotate("global version"));
  for (const TensorSpec& spec : manifest) {
    const bool is_a = IsLoraA(spec.name);
    if (!is_a && !IsLoraB(spec.name)) continue;
    if (spec.shape[is_a ? 0 : 1] == rank) continue;
    return InvalidArgumentError("global version: tensor " + spec.name + " " + spec.ShapeText() +
                                " is no factor of rank " + std::to_string(rank));
  }
  return OkStatus();
}

std::vector<std::int64_t> OtherRanks(const std::vector<std::int64_t>& ranks, std::int64_t all) {
  std::vector<std::int64_t> others;
  for (std::int64_t rank = 0; rank < all; ++rank) {
    if (!std::binary_search(ranks.begin(), ranks.end(), rank)) others.push_back(rank);
  }
  return others;
}

}  // namespace

Manifest OfferedManifest(const v1::CampaignOffer& offer) {
  Manifest manifest;
  for (const v1::TensorInfo& info : offer.manifest()) {
    const auto dtype = ParseDType(info.dtype());
    manifest.push_back({info.name(),
                        dtype.ok() ? *dtype : DType::kBool,
                        {info.shape().begin(), info.shape().end()}});
  }
  return manifest;
}

Result<TrainDirective> DirectiveOf(const v1::TaskAssignment& task) {
  const v1::Directive& wire = task.directive();
  if (wire.offset() > 2 || wire.frozen() > 3 || wire.ranks() > 1 || wire.dtype() > 2 ||
      !(wire.proximal() >= 0) || wire.proximal() > 1e6) {
    return InvalidArgumentError("the task's directive is not one that this client knows");
  }
  TrainDirective directive;
  directive.proximal = wire.proximal();
  directive.offset = static_cast<GradientOffset>(wire.offset());
  directive.frozen = static_cast<FrozenFactor>(wire.frozen());
  directive.ranks = static_cast<RankChoice>(wire.ranks());
  directive.fold_untrained_ranks = wire.fold_untrained_ranks();
  directive.keep_b_local = wire.keep_b_local();
  directive.keep_optimizer = wire.keep_optimizer();
  directive.dtype = static_cast<UpdateDtype>(wire.dtype());
  directive.error_feedback = wire.error_feedback();
  if (wire.has_pruning()) {
    directive.pruning = {wire.pruning().penalty(), wire.pruning().decay(), wire.pruning().least()};
    const auto& [penalty, decay, least] = directive.pruning;
    if (!(penalty > 0 && penalty < 1e6) || !(decay > 0 && decay < 1) || least < 1) {
      return InvalidArgumentError("the task's rank pruning is out of bounds");
    }
  }
  for (const std::string& name : wire.server_state()) {
    if (name != kControlState) {
      return InvalidArgumentError("server state \"" + Excerpt(name) + "\" is not known");
    }
    directive.server_state.push_back(name);
  }
  return directive;
}

std::string StartPaths::Merged(int index) const {
  char name[32];
  std::snprintf(name, sizeof name, "merged/%06d.safetensors", index);
  return JoinPath(directory, name);
}
std::string StartPaths::ServerState(const std::string& name) const {
  return directory + "/server_state/" + name + ".safetensors";
}
std::string StartPaths::Start() const {
  return directory + "/global/" + std::string(kAdapterWeightsFile);
}

Status PrepareStart(const StartPaths& paths, const v1::CampaignOffer& offer,
                    const v1::TaskAssignment& task, TaskFile* file) {
  TRIBUTARY_ASSIGN_OR_RETURN(const TrainDirective directive, DirectiveOf(task));
  TRIBUTARY_ASSIGN_OR_RETURN(const AdapterConfig adapter,
                             AdapterConfig::FromPeftJson(offer.adapter_config_json()));
  std::string config = offer.adapter_config_json();
  for (int i = 0; i < task.merged_size(); ++i) file->merged.push_back(paths.Merged(i));
  const bool lora = adapter.kind == AdapterKind::kLora;
  const std::int64_t all = adapter.rank;
  const std::int64_t rank = lora && task.site_rank() > 0 ? std::min(task.site_rank(), all) : all;
  TRIBUTARY_ASSIGN_OR_RETURN(const auto version, OpenVersion(paths, offer));
  if (lora && (rank < all || directive.keep_b_local)) {
    TRIBUTARY_ASSIGN_OR_RETURN(
        const auto local_b,
        TensorReader::Open(directive.keep_b_local ? JoinPath(paths.state, kLocalBFile) : "",
                           OnDamage::kReport));
    if (adapter.HasPatterns()) {
      return InvalidArgumentError("rank_pattern and alpha_pattern cannot be cut to " +
                                  std::to_string(rank) + " ranks");
    }
    TRIBUTARY_RETURN_IF_ERROR(CheckPairs(version, all));
    const double scale = adapter.Scale();
    const auto ranks = TrainedRanks(directive.ranks, all, rank, task.seed());
    TRIBUTARY_RETURN_IF_ERROR(WriteCut(paths, {version, ranks, all}, local_b));
    if (directive.fold_untrained_ranks && rank < all) {
      const auto others = OtherRanks(ranks, all);
      const std::string fold = JoinPath(paths.directory, kFoldFile);
      TRIBUTARY_RETURN_IF_ERROR(WriteFold(fold, {version, others, all}, scale));
      file->merged.push_back(fold);
    }
    TRIBUTARY_RETURN_IF_ERROR(version.Intact());
    config = adapter.AtRank(rank).ToPeftJson();
  } else {
    TRIBUTARY_RETURN_IF_ERROR(LinkStart(paths));
  }
  if (directive.offset != GradientOffset::kNone) {
    TRIBUTARY_RETURN_IF_ERROR(WriteOffset(paths, directive.offset));
    file->gradient_offset = kOffsetFile;
  }
  if (lora && directive.pruning.penalty > 0) {
    TRIBUTARY_RETURN_IF_ERROR(CheckLoraPairs(version.ToManifest()).Annotate("global version"));
    TRIBUTARY_ASSIGN_OR_RETURN(const std::int64_t kept, KeptRanks(paths.state, rank));
    const std::int64_t from = FirstPenalisedRank(directive.pruning, kept);
    // Else there is nothing to do, and a trainer that could not do it serves.
    if (from < rank) file->pruning = PrunedRanks{directive.pruning.penalty, from, kept};
  }
  file->frozen = directive.frozen;
  file->proximal = directive.proximal;
  file->keep_optimizer = directive.keep_optimizer;
  return WriteFileAtomic(paths.directory + "/global/" + std::string(kAdapterConfigFile), config);
}

}  // namespace tributary::client
