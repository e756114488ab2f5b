#include "cli/initial_adapter.h"

#include <sys/stat.h>

#include <optional>

#include "core/files.h"
#include "core/peft_adapter.h"

namespace tributary::cli {
namespace {

bool IsDirectory(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

Result<std::optional<Manifest>> ExpectedManifest(const CampaignFile& file,
                                                 const std::string& base_directory) {
  if (file.model.config.empty()) return std::optional<Manifest>();
  std::string path = JoinPath(base_directory, file.model.config);
  if (IsDirectory(path)) path = JoinPath(path, "config.json");
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path).Annotate("model.config"));
  TRIBUTARY_ASSIGN_OR_RETURN(const LlamaShape shape,
                             LlamaShape::FromConfigJson(text).Annotate(path));
  TRIBUTARY_ASSIGN_OR_RETURN(Manifest manifest,
                             AdapterManifest(file.ToAdapterConfig(), shape).Annotate("adapter"));
  return std::optional<Manifest>(std::move(manifest));
}

// A copy under our own header: sorted, padded, without metadata.
Result<SafetensorsWriter::Written> CopyAdapter(const std::string& from,
                                               const std::optional<Manifest>& expected,
                                               const std::string& to) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto source, SafetensorsFile::Open(from));
  if (expected) {
    TRIBUTARY_RETURN_IF_ERROR(CheckManifest(*expected, source.ToManifest()).Annotate(from));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(SafetensorsWriter writer,
                             SafetensorsWriter::Create(to, source.ToManifest()));
  for (const SafetensorsEntry& entry : source.header().tensors) {
    TRIBUTARY_RETURN_IF_ERROR(writer.Append(source.Bytes(entry)));
  }
  return writer.Finish();
}

}  // namespace

Result<SafetensorsWriter::Written> WriteInitialAdapter(const CampaignFile& file,
                                                       const std::string& base_directory,
                                                       const std::string& path) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto expected, ExpectedManifest(file, base_directory));
  if (!file.adapter.initial.empty()) {
    const std::string initial = JoinPath(base_directory, file.adapter.initial);
    return CopyAdapter(IsDirectory(initial) ? JoinPath(initial, kAdapterWeightsFile) : initial,
                       expected, path);
  }
  if (!expected) {
    return InvalidArgumentError(
        "model.config is missing: the adapter's shapes come from it; name the model's config.json, "
        "or give adapter.initial");
  }
  if (file.adapter.kind == "full") {
    const std::string directory = JoinPath(base_directory, file.model.config);
    const std::string weights =
        JoinPath(IsDirectory(directory) ? directory : DirectoryOf(directory), "model.safetensors");
    return CopyAdapter(weights, expected, path);
  }
  return WriteSafetensors(path, InitialLora(*expected, static_cast<std::uint64_t>(file.seed)));
}

}  // namespace tributary::cli
