// safetensors_copy FROM TO: reads a file and writes its tensors and metadata again, both with
// core/safetensors.
#include <iostream>

#include "core/safetensors.h"

namespace tributary {
namespace {

Status Copy(const std::string& from, const std::string& to) {
  TRIBUTARY_ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(from));
  TRIBUTARY_ASSIGN_OR_RETURN(
      SafetensorsWriter writer,
      SafetensorsWriter::Create(to, file.ToManifest(), file.header().metadata));
  for (const TensorSpec& spec : writer.manifest()) {
    TRIBUTARY_RETURN_IF_ERROR(writer.Append(file.Bytes(*file.Find(spec.name))));
  }
  return writer.Finish().status();
}

}  // namespace
}  // namespace tributary

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: safetensors_copy FROM TO" << std::endl;
    return 2;
  }
  const tributary::Status status = tributary::Copy(argv[1], argv[2]);
  if (!status.ok()) std::cerr << status << std::endl;
  return status.ok() ? 0 : 1;
}
