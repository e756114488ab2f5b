#include "core/safetensors.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "core/json.h"

namespace tributary {
namespace {

using nlohmann::json;

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::size_t kMaxDimensions = 16;
constexpr std::uint64_t kFlushBytes = std::uint64_t{8} << 20;  // written to disk early, at a time

Status Malformed(std::string text) {
  return InvalidArgumentError("malformed safetensors: " + std::move(text));
}

// A non-negative integer that fits; the JSON of a peer may hold anything.
bool ReadCount(const json& value, std::uint64_t* out) {
  if (!value.is_number_unsigned()) return false;
  *out = value.get<std::uint64_t>();
  return *out <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
}

Status ReadShape(const json& shape, TensorSpec* spec) {
  if (!shape.is_array() || shape.size() > kMaxDimensions) {
    return Malformed("tensor " + spec->name + " has no shape of at most 16 dimensions");
  }
  std::uint64_t elements = 1;
  for (const json& extent : shape) {
    std::uint64_t value = 0;
    if (!ReadCount(extent, &value)) {
      return Malformed("tensor " + spec->name + " has a shape that is not whole numbers >= 0");
    }
    if (__builtin_mul_overflow(elements, value, &elements) || elements > (std::uint64_t{1} << 48)) {
      return Malformed("tensor " + spec->name + " has too many elements");
    }
    spec->shape.push_back(static_cast<std::int64_t>(value));
  }
  return OkStatus();
}

Status ReadEntry(const std::string& name, const json& value, std::uint64_t data_bytes,
                 SafetensorsEntry* entry) {
  entry->spec.name = name;
  if (name.empty() || name.size() > 1024) return Malformed("a tensor name has a bad length");
  if (!value.is_object() || value.size() != 3 || !value.contains("dtype") ||
      !value.contains("shape") || !value.contains("data_offsets")) {
    return Malformed("tensor " + name + " must have exactly dtype, shape and data_offsets");
  }
  const json& dtype = value["dtype"];
  if (!dtype.is_string()) return Malformed("tensor " + name + " has a dtype that is not text");
  TRIBUTARY_ASSIGN_OR_RETURN(
      entry->spec.dtype,
      ParseDType(dtype.get_ref<const std::string&>()).Annotate("tensor " + name));
  TRIBUTARY_RETURN_IF_ERROR(ReadShape(value["shape"], &entry->spec));
  const json& offsets = value["data_offsets"];
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  if (!offsets.is_array() || offsets.size() != 2 || !ReadCount(offsets[0], &begin) ||
      !ReadCount(offsets[1], &end) || begin > end || end > data_bytes) {
    return Malformed("tensor " + name + " has data_offsets outside the " +
                     std::to_string(data_bytes) + " bytes of data");
  }
  if (end - begin != entry->spec.ByteCount()) {
    return Malformed("tensor " + name + " of shape " + entry->spec.ShapeText() + " needs " +
                     std::to_string(entry->spec.ByteCount()) + " bytes but its data_offsets span " +
                     std::to_string(end - begin));
  }
  entry->begin = begin;
  return OkStatus();
}

Status ReadMetadata(const json& value, SafetensorsHeader* header) {
  if (!value.is_object()) return Malformed("__metadata__ must be an object of strings");
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) return Malformed("__metadata__." + key + " must be a string");
    header->metadata[key] = text.get<std::string>();
  }
  return OkStatus();
}

// The data must be covered exactly: no overlap, no hole, no trailing bytes in which something could
// hide.
Status CheckCoverage(const std::vector<SafetensorsEntry>& tensors, std::uint64_t data_bytes) {
  std::vector<const SafetensorsEntry*> order;
  order.reserve(tensors.size());
  for (const SafetensorsEntry& entry : tensors) order.push_back(&entry);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    const std::uint64_t a_end = a->begin + a->spec.ByteCount();
    const std::uint64_t b_end = b->begin + b->spec.ByteCount();
    return std::pair(a->begin, a_end) < std::pair(b->begin, b_end);
  });
  std::uint64_t at = 0;
  for (const SafetensorsEntry* entry : order) {
    if (entry->begin < at) return Malformed("tensor " + entry->spec.name + " overlaps another");
    if (entry->begin > at)
      return Malformed("bytes before tensor " + entry->spec.name + " belong to none");
    at += entry->spec.ByteCount();
  }
  if (at != data_bytes) {
    return Malformed("tensors end at byte " + std::to_string(at) + " of " +
                     std::to_string(data_bytes) + " bytes of data");
  }
  return OkStatus();
}

// The order of the data in files of ours.
bool ComesBefore(const TensorSpec& a, const TensorSpec& b) {
  const std::size_t a_width = DTypeBytes(a.dtype);
  const std::size_t b_width = DTypeBytes(b.dtype);
  return a_width != b_width ? a_width > b_width : a.name < b.name;
}

std::string HeaderText(const Manifest& manifest,
                       const std::map<std::string, std::string>& metadata) {
  json header = json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t at = 0;
  for (const TensorSpec& spec : manifest) {
    const std::uint64_t end = at + spec.ByteCount();
    header[spec.name] = {
        {"dtype", DTypeName(spec.dtype)}, {"shape", spec.shape}, {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text = header.dump(-1, ' ', false, json::error_handler_t::replace);
  // Data starts at a multiple of 8, so that every element type can be read in place.
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

}  // namespace

Manifest SafetensorsHeader::ToManifest() const {
  Manifest manifest;
  manifest.reserve(tensors.size());
  for (const SafetensorsEntry& entry : tensors) manifest.push_back(entry.spec);
  return manifest;
}

Result<SafetensorsHeader> ParseSafetensorsHeader(std::span<const std::byte> prefix,
                                                 std::uint64_t file_bytes) {
  if (prefix.size() < kLengthBytes || file_bytes < kLengthBytes) {
    return Malformed("truncated: shorter than the 8-byte header length");
  }
  std::uint64_t length = 0;
  std::memcpy(&length, prefix.data(), sizeof length);
  if (length > kSafetensorsMaxHeaderBytes) {
    return Malformed("header length " + std::to_string(length) + " is over the limit of " +
                     std::to_string(kSafetensorsMaxHeaderBytes));
  }
  if (length > file_bytes - kLengthBytes || length > prefix.size() - kLengthBytes) {
    return Malformed("truncated: header of " + std::to_string(length) + " bytes in a file of " +
                     std::to_string(file_bytes));
  }
  const std::string_view text(reinterpret_cast<const char*>(prefix.data()) + kLengthBytes, length);
  TRIBUTARY_ASSIGN_OR_RETURN(const json parsed, ParseJson(text, "malformed safetensors: header"));
  if (!parsed.is_object()) return Malformed("header is not an object");
  if (parsed.size() > kSafetensorsMaxTensors) return Malformed("more than 200000 tensors");

  SafetensorsHeader header;
  header.file_bytes = file_bytes;
  const std::uint64_t data_bytes = file_bytes - kLengthBytes - length;
  for (const auto& [name, value] : parsed.items()) {  // nlohmann keeps keys sorted
    if (name == "__metadata__") {
      TRIBUTARY_RETURN_IF_ERROR(ReadMetadata(value, &header));
      continue;
    }
    SafetensorsEntry& entry = header.tensors.emplace_back();
    TRIBUTARY_RETURN_IF_ERROR(ReadEntry(name, value, data_bytes, &entry));
  }
  TRIBUTARY_RETURN_IF_ERROR(CheckCoverage(header.tensors, data_bytes));
  for (SafetensorsEntry& entry : header.tensors) entry.begin += kLengthBytes + length;
  return header;
}

Result<SafetensorsFile> SafetensorsFile::Open(const std::string& path, OnDamage on_damage,
                                              Alignment alignment) {
  SafetensorsFile file;
  TRIBUTARY_ASSIGN_OR_RETURN(file.file_, MappedFile::Open(path, on_damage));
  const auto bytes = file.file_.bytes();
  auto header = ParseSafetensorsHeader(bytes, bytes.size());
  TRIBUTARY_RETURN_IF_ERROR(file.Intact());  // else zeros were parsed
  if (!header.ok()) return header.status().Annotate(path);
  file.header_ = *std::move(header);
  for (const SafetensorsEntry& entry : file.header_.tensors) {
    if (alignment == Alignment::kElements && entry.begin % DTypeBytes(entry.spec.dtype) != 0) {
      return InvalidArgumentError(path + ": tensor " + entry.spec.name +
                                  " is not aligned to its element size; write the file again with "
                                  "a header padded to 8 bytes");
    }
  }
  return file;
}

const SafetensorsEntry* SafetensorsFile::Find(std::string_view name) const {
  const auto it = std::lower_bound(
      header_.tensors.begin(), header_.tensors.end(), name,
      [](const SafetensorsEntry& entry, std::string_view key) { return entry.spec.name < key; });
  return it != header_.tensors.end() && it->spec.name == name ? &*it : nullptr;
}

std::span<const std::byte> SafetensorsFile::Bytes(const SafetensorsEntry& entry) const {
  return file_.bytes().subspan(entry.begin, entry.spec.ByteCount());
}

std::span<const float> SafetensorsFile::Floats(const SafetensorsEntry& entry) const {
  return {reinterpret_cast<const float*>(Bytes(entry).data()), entry.spec.ElementCount()};
}

Result<SafetensorsWriter> SafetensorsWriter::Create(
    const std::string& path, Manifest manifest, const std::map<std::string, std::string>& metadata,
    bool durable) {
  std::sort(manifest.begin(), manifest.end(), ComesBefore);
  std::set<std::string_view> names;
  for (const TensorSpec& spec : manifest) {
    if (!names.insert(spec.name).second) {
      return InvalidArgumentError("tensor " + spec.name + " appears twice in a manifest");
    }
  }
  SafetensorsWriter writer;
  writer.path_ = path;
  writer.temporary_path_ = path + ".tmp-XXXXXX";
  const int fd = mkostemp(writer.temporary_path_.data(), O_CLOEXEC);
  if (fd < 0) return ErrnoError("create " + writer.temporary_path_, errno);
  writer.file_ = FileDescriptor(fd);
  writer.durable_ = durable;
  for (const TensorSpec& spec : manifest) writer.expected_ += spec.ByteCount();
  std::string prefix(kLengthBytes, '\0');
  const std::string text = HeaderText(manifest, metadata);
  const std::uint64_t length = text.size();
  std::memcpy(prefix.data(), &length, sizeof length);
  prefix += text;
  writer.manifest_ = std::move(manifest);
  writer.header_bytes_ = prefix.size();
  writer.hash_.Update(prefix);
  TRIBUTARY_RETURN_IF_ERROR(
      WriteAll(fd, prefix.data(), prefix.size()).Annotate(writer.temporary_path_));
  return writer;
}

SafetensorsWriter::~SafetensorsWriter() {
  if (file_.valid()) unlink(temporary_path_.c_str());
}

Status SafetensorsWriter::Append(std::span<const std::byte> bytes) {
  written_ += bytes.size();
  hash_.Update(bytes.data(), bytes.size());
  TRIBUTARY_RETURN_IF_ERROR(
      WriteAll(file_.get(), bytes.data(), bytes.size()).Annotate(temporary_path_));
  if (durable_ && written_ - flushed_ >= kFlushBytes) {
    // Only a hint that spares Finish() the wait; what fails here fails there.
    sync_file_range(file_.get(), static_cast<off_t>(header_bytes_ + flushed_),
                    static_cast<off_t>(written_ - flushed_), SYNC_FILE_RANGE_WRITE);
    flushed_ = written_;
  }
  return OkStatus();
}

Result<SafetensorsWriter::Written> SafetensorsWriter::Finish() {
  if (written_ != expected_) {
    return InternalError(path_ + ": " + std::to_string(written_) + " bytes written of " +
                         std::to_string(expected_));
  }
  if (durable_ && fdatasync(file_.get()) != 0) {
    return ErrnoError("fdatasync " + temporary_path_, errno);
  }
  if (rename(temporary_path_.c_str(), path_.c_str()) != 0) {
    return ErrnoError("rename " + temporary_path_ + " to " + path_, errno);
  }
  file_.Reset();
  if (durable_) TRIBUTARY_RETURN_IF_ERROR(SyncDirectory(DirectoryOf(path_)));
  return Written{hash_.Finish(), header_bytes_ + written_};
}

Result<SafetensorsWriter::Written> WriteSafetensors(
    const std::string& path, const std::vector<HostTensor>& tensors,
    const std::map<std::string, std::string>& metadata) {
  std::vector<const HostTensor*> order;
  Manifest manifest;
  for (const HostTensor& tensor : tensors) {
    if (tensor.bytes.size() != tensor.spec.ByteCount()) {
      return InternalError("tensor " + tensor.spec.name + " holds " +
                           std::to_string(tensor.bytes.size()) + " bytes of " +
                           std::to_string(tensor.spec.ByteCount()));
    }
    manifest.push_back(tensor.spec);
    order.push_back(&tensor);
  }
  std::sort(order.begin(), order.end(),
            [](const auto* a, const auto* b) { return ComesBefore(a->spec, b->spec); });
  TRIBUTARY_ASSIGN_OR_RETURN(SafetensorsWriter writer,
                             SafetensorsWriter::Create(path, std::move(manifest), metadata));
  for (const HostTensor* tensor : order) TRIBUTARY_RETURN_IF_ERROR(writer.Append(tensor->bytes));
  return writer.Finish();
}

}  // namespace tributary
