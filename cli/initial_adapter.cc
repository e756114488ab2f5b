#include "cli/initial_adapter.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <optional>

#include "cli/initial_adapter_config.h"
#include "core/adapter_files.h"
#include "core/files.h"
#include "core/model_files.h"
#include "core/peft_adapter.h"
#include "core/tensor_file.h"
#include "core/train_directive.h"

namespace tributary::cli {
namespace {

bool IsDirectory(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

// The lead's copy of the model, as far as an adapter needs it.
struct LeadModel {
  std::string directory;
  ModelShape shape;
  Manifest adapter;  // what the adapter must consist of
};

Result<std::optional<LeadModel>> ReadLeadModel(const CampaignFile& file,
                                               const std::string& base_directory) {
  if (file.model.config.empty()) return std::optional<LeadModel>();
  std::string path = JoinPath(base_directory, file.model.config);
  if (IsDirectory(path)) path = JoinPath(path, "config.json");
  LeadModel model;
  model.directory = DirectoryOf(path);
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path).Annotate("model.config"));
  TRIBUTARY_ASSIGN_OR_RETURN(
      model.shape, ModelShape::FromConfigJson(text).Annotate(path).Annotate("model.config"));
  TRIBUTARY_ASSIGN_OR_RETURN(
      model.adapter, AdapterManifest(file.ToAdapterConfig(), model.shape).Annotate("adapter"));
  return std::optional<LeadModel>(std::move(model));
}

// PEFT saves embeddings and head beside the factors where it takes them to be changed.
Status CheckEmbeddings(const LeadModel& model, const Manifest& manifest) {
  const auto has = [](const Manifest& in, const std::string& name) {
    return std::any_of(in.begin(), in.end(),
                       [&](const TensorSpec& spec) { return spec.name == name; });
  };
  const std::vector<ModelModule> modules = model.shape.Modules();
  for (const ModelModule* module : {&modules.front(), &modules.back()}) {
    const std::string name = SavedName(module->name + ".weight");
    if (!has(manifest, name) || has(model.adapter, name)) continue;
    return InvalidArgumentError(
        "holds " + name +
        " beside the factors, as PEFT does with save_embedding_layers; name the module in "
        "adapter.modules_to_save if it is to be trained, or else save the adapter with "
        "save_embedding_layers=False");
  }
  return OkStatus();
}

// A copy in F32 under our own header: sorted, padded, without metadata.
Result<SafetensorsWriter::Written> CopyAdapter(const std::string& from,
                                               const std::optional<LeadModel>& model,
                                               const std::string& to) {
  TRIBUTARY_ASSIGN_OR_RETURN(SafetensorsFile opened,
                             SafetensorsFile::Open(from, OnDamage::kEndProcess, Alignment::kAny));
  const auto source = std::make_shared<const SafetensorsFile>(std::move(opened));
  Manifest manifest = source->ToManifest();
  for (TensorSpec& spec : manifest) {
    const bool narrow = spec.dtype == DType::kF16 || spec.dtype == DType::kBf16;
    if (narrow || spec.dtype == DType::kF64) spec.dtype = DType::kF32;
  }
  if (model) TRIBUTARY_RETURN_IF_ERROR(CheckEmbeddings(*model, manifest).Annotate(from));
  if (model) TRIBUTARY_RETURN_IF_ERROR(CheckManifest(model->adapter, manifest).Annotate(from));
  for (const TensorSpec& spec : manifest) {
    if (spec.dtype == DType::kF32) continue;
    return InvalidArgumentError(from + ": " + spec.name + ": dtype " +
                                std::string(DTypeName(spec.dtype)) +
                                " is not supported; supported: F32, F16, BF16, F64");
  }
  return WriteTensorFile(
      to, manifest, [&](const TensorSpec& spec, std::size_t offset, std::span<float> out) {
        const SafetensorsEntry& entry = *source->Find(spec.name);
        CopyFloats(ModelWeight{entry.spec, source, source->Bytes(entry)}, offset, out);
      });
}

bool IsFactor(const TensorSpec& spec) {
  return IsLoraA(spec.name) || IsLoraB(spec.name) || IsLoraC(spec.name);
}

Result<ModelFiles> OpenModel(const LeadModel& model) {
  return ModelFiles::Open(model.directory, model.shape)
      .Annotate("model.config: the adapter starts from weights of the model");
}

// LoRA factors as InitialLora makes them; all else is the model's own.
Result<SafetensorsWriter::Written> WriteFresh(const LeadModel& model, std::uint64_t seed,
                                              const std::string& to) {
  Manifest factors = model.adapter;
  std::erase_if(factors, [](const TensorSpec& spec) { return !IsFactor(spec); });
  if (factors.size() == model.adapter.size()) {
    return WriteSafetensors(to, InitialLora(factors, seed));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const ModelFiles files, OpenModel(model));
  std::map<std::string, HostTensor, std::less<>> fresh;
  for (HostTensor& tensor : InitialLora(factors, seed)) {
    const std::string name = tensor.spec.name;
    fresh.emplace(name, std::move(tensor));
  }
  return WriteTensorFile(
      to, model.adapter, [&](const TensorSpec& spec, std::size_t offset, std::span<float> out) {
        if (const auto it = fresh.find(spec.name); it != fresh.end()) {
          std::memcpy(out.data(), it->second.bytes.data() + offset * sizeof(float),
                      out.size_bytes());
          return;
        }
        CopyFloats(*files.Find(WeightOfSaved(model.shape, spec.name)), offset, out);
      });
}

Status NoModel() {
  return InvalidArgumentError(
      "model.config: is missing; the adapter's shapes come from it: name the model's config.json, "
      "or give adapter.initial");
}

}  // namespace

bool CopiesModel(const CampaignFile& file) {
  return file.adapter.initial.empty() &&
         (file.adapter.kind == "full" || !file.adapter.modules_to_save.empty());
}

Status CheckModel(const CampaignFile& file, const std::string& base_directory) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto model, ReadLeadModel(file, base_directory));
  return model ? OpenModel(*model).status() : NoModel();
}

Result<SafetensorsWriter::Written> WriteInitialAdapter(const CampaignFile& file,
                                                       const std::string& base_directory,
                                                       const std::string& path) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto model, ReadLeadModel(file, base_directory));
  if (!file.adapter.initial.empty()) {
    std::string initial = JoinPath(base_directory, file.adapter.initial);
    if (IsDirectory(initial)) {
      TRIBUTARY_RETURN_IF_ERROR(CheckAdapterWeights(initial).Annotate("adapter.initial"));
      initial = JoinPath(initial, kAdapterWeightsFile);
    }
    TRIBUTARY_RETURN_IF_ERROR(CheckInitialConfig(JoinPath(DirectoryOf(initial), kAdapterConfigFile),
                                                 file.ToAdapterConfig(),
                                                 model ? &model->shape : nullptr)
                                  .Annotate("adapter.initial"));
    TRIBUTARY_ASSIGN_OR_RETURN(const auto written,
                               CopyAdapter(initial, model, path).Annotate("adapter.initial"));
    return written;
  }
  if (!model) return NoModel();
  return WriteFresh(*model, static_cast<std::uint64_t>(file.seed), path);
}

}  // namespace tributary::cli
