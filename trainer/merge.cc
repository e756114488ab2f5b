#include "trainer/merge.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "core/files.h"
#include "core/json.h"
#include "trainer/adapter.h"
#include "trainer/model_directory.h"

namespace tributary::trainer {
namespace {

using at::Tensor;

at::ScalarType TypeOf(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return at::kDouble;
    case DType::kF16:
      return at::kHalf;
    case DType::kBf16:
      return at::kBFloat16;
    default:
      return at::kFloat;
  }
}

// The weights of the merged model, one at a time.
class MergedWeights {
 public:
  MergedWeights(const ModelFiles& files, const ModelShape& shape, const Adapter& adapter)
      : files_(files), adapter_(adapter), modules_(shape.Modules()) {}

  bool UntiesHead() const {
    for (const ModelModule& module : adapter_.layout.saved) {
      if (module.name == modules_.front().name || module.name == modules_.back().name) return true;
    }
    return false;
  }

  // In float. `name` is a weight of the model; a tied head has the embedding's.
  Tensor Get(const std::string& name) const {
    const auto whole =
        adapter_.tensors.find(adapter_.config.kind == AdapterKind::kFull ? name : SavedName(name));
    if (whole != adapter_.tensors.end()) return whole->second;
    const Tensor base = ToTensor(*Stored(name), at::kFloat);
    for (const auto& [module, rank, scale] : adapter_.layout.pairs) {
      if (name != module.name + ".weight") continue;
      Tensor b = adapter_.tensors.find(LoraName(module.name, false))->second;
      if (adapter_.config.middle) {
        b = at::mm(b, adapter_.tensors.find(MiddleName(module.name))->second);
      }
      return WithProduct(base, module.transposed, b,
                         adapter_.tensors.find(LoraName(module.name, true))->second, scale);
    }
    return base;
  }

  DType StoredType(const std::string& name) const { return Stored(name)->spec.dtype; }

 private:
  const ModelWeight* Stored(const std::string& name) const {
    const ModelWeight* stored = files_.Find(name);
    return stored != nullptr ? stored : files_.Find(modules_.front().name + ".weight");
  }

  const ModelFiles& files_;
  const Adapter& adapter_;
  std::vector<ModelModule> modules_;
};

Status WriteWeights(const std::string& path, Manifest manifest, const MergedWeights& weights) {
  for (TensorSpec& spec : manifest) spec.dtype = weights.StoredType(spec.name);
  TRIBUTARY_ASSIGN_OR_RETURN(
      SafetensorsWriter writer,
      SafetensorsWriter::Create(path, std::move(manifest), {{"format", "pt"}}));
  for (const TensorSpec& spec : writer.manifest()) {
    const Tensor tensor = weights.Get(spec.name).to(TypeOf(spec.dtype)).contiguous();
    TRIBUTARY_RETURN_IF_ERROR(
        writer.Append({static_cast<const std::byte*>(tensor.data_ptr()), spec.ByteCount()}));
  }
  return writer.Finish().status();
}

bool IsWeightsFile(const std::string& name) {
  for (const char* ending : {".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json",
                             ".pth", ".gguf", ".h5", ".msgpack", ".onnx"}) {
    if (name.ends_with(ending)) return true;
  }
  return false;
}

// Files of the model directory that hold no weights. Directories stay behind.
Status CopyOthers(const std::string& from, const std::string& to) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(from));
  for (const std::string& name : names) {
    struct stat info {};
    const std::string path = JoinPath(from, name);
    if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode) || IsWeightsFile(name)) continue;
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
    TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(JoinPath(to, name), bytes, 0644));
  }
  return OkStatus();
}

Status Untie(const std::string& config_path) {
  TRIBUTARY_ASSIGN_OR_RETURN(nlohmann::json config, ReadJsonFile(config_path));
  config["tie_word_embeddings"] = false;
  return WriteFileAtomic(config_path, config.dump(2) + "\n", 0644);
}

Status WriteMerged(const std::string& model_path, ModelShape shape, const Adapter& adapter,
                   const std::string& directory) {
  TRIBUTARY_ASSIGN_OR_RETURN(const ModelFiles files, ModelFiles::Open(model_path, shape));
  const MergedWeights weights(files, shape, adapter);
  TRIBUTARY_RETURN_IF_ERROR(CopyOthers(model_path, directory));
  if (shape.tied_embeddings && weights.UntiesHead()) {
    shape.tied_embeddings = false;
    TRIBUTARY_RETURN_IF_ERROR(Untie(JoinPath(directory, "config.json")));
  }
  return WriteWeights(JoinPath(directory, kModelWeightsFile), shape.AllWeights(), weights);
}

}  // namespace

Tensor WithProduct(const Tensor& weight, bool transposed, const Tensor& b, const Tensor& a,
                   double scale) {
  return transposed ? at::addmm(weight, a.t(), b.t(), 1, scale) : at::addmm(weight, b, a, 1, scale);
}

Status MergeAdapter(const std::string& model_path, const std::string& adapter_directory,
                    const std::string& output) {
  const at::NoGradGuard no_grad;
  if (PathExists(output))
    return AlreadyExistsError(output + " is there; remove it or choose another");
  TRIBUTARY_ASSIGN_OR_RETURN(const ModelConfig config, ReadModelConfig(model_path));
  TRIBUTARY_ASSIGN_OR_RETURN(const Adapter adapter, LoadAdapter(adapter_directory, config.shape));
  const std::string temporary = output + ".tmp-" + std::to_string(getpid());
  TRIBUTARY_RETURN_IF_ERROR(RemoveTree(temporary));
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(temporary, 0755));
  const Status written = WriteMerged(model_path, config.shape, adapter, temporary);
  if (!written.ok()) {
    (void)RemoveTree(temporary);
    return written;
  }
  return RenameDurably(temporary, output);
}

}  // namespace tributary::trainer
