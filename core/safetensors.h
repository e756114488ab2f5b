// The safetensors format: how every tensor travels and rests here.
//
// A file is an 8-byte little-endian header length, a JSON header, and the tensor bytes. Nothing of
// the header is believed before it is checked: size, UTF-8, duplicate keys, dtypes, shapes, offsets
// that overlap or leave gaps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/files.h"
#include "core/sha256.h"
#include "core/status.h"
#include "core/tensor.h"

namespace tributary {

inline constexpr std::size_t kSafetensorsMaxHeaderBytes = std::size_t{100} << 20;
inline constexpr std::size_t kSafetensorsMaxTensors = 200'000;

struct SafetensorsEntry {
  TensorSpec spec;
  std::uint64_t begin = 0;  // offset of the first byte from the start of the file
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> tensors;        // sorted by name
  std::map<std::string, std::string> metadata;  // "__metadata__"
  std::uint64_t file_bytes = 0;                 // what the whole file must measure

  Manifest ToManifest() const;
};

// Parses and validates the header of a file of `file_bytes` bytes from its first bytes. `prefix`
// must hold the whole header (8 + length bytes); fewer is the error "truncated".
Result<SafetensorsHeader> ParseSafetensorsHeader(std::span<const std::byte> prefix,
                                                 std::uint64_t file_bytes);

// Where tensors may begin in a file. The format asks for nothing; elements in place need more.
enum class Alignment : std::uint8_t {
  kElements,  // at a multiple of the element size: others are refused
  kAny,       // of files that others wrote: Floats() is not to be used
};

// A file mapped read-only. Thread-safe to read. Views stay valid for the life of the object, also
// when it is moved.
class SafetensorsFile {
 public:
  static Result<SafetensorsFile> Open(const std::string& path,
                                      OnDamage on_damage = OnDamage::kEndProcess,
                                      Alignment alignment = Alignment::kElements);

  const SafetensorsHeader& header() const { return header_; }
  Manifest ToManifest() const { return header_.ToManifest(); }
  const SafetensorsEntry* Find(std::string_view name) const;  // null when absent
  std::span<const std::byte> Bytes(const SafetensorsEntry& entry) const;
  // Elements in place. Only for an entry of dtype F32, of a file of Alignment::kElements.
  std::span<const float> Floats(const SafetensorsEntry& entry) const;
  // Lets pages of a part that was read leave this process's memory.
  void Release(std::span<const std::byte> part) const { file_.Release(part); }
  Status Intact() const { return file_.Intact(); }  // as MappedFile::Intact

 private:
  MappedFile file_;
  SafetensorsHeader header_;
};

// Writes a file tensor by tensor, in the order of manifest(), without holding it in memory;
// hashes while the bytes pass. The file appears under its name only by Finish(), whole and durable.
// Not thread-safe.
class SafetensorsWriter {
 public:
  struct Written {
    Digest digest;
    std::uint64_t bytes = 0;
  };
  // The manifest is sorted here: wider element types first, so that every tensor is aligned, and by
  // name among equals. `durable` = fsync before the rename.
  static Result<SafetensorsWriter> Create(const std::string& path, Manifest manifest,
                                          const std::map<std::string, std::string>& metadata = {},
                                          bool durable = true);
  ~SafetensorsWriter();  // without Finish(): the temporary file is removed
  SafetensorsWriter(SafetensorsWriter&&) noexcept = default;
  SafetensorsWriter& operator=(SafetensorsWriter&&) noexcept = default;

  const Manifest& manifest() const { return manifest_; }
  // The next bytes of the tensor data, in the order of manifest(); may split or span tensors.
  Status Append(std::span<const std::byte> bytes);
  // Fails when fewer bytes than the manifest declares were appended.
  Result<Written> Finish();

 private:
  SafetensorsWriter() = default;

  std::string path_;
  std::string temporary_path_;
  FileDescriptor file_;
  Manifest manifest_;
  Sha256 hash_;
  std::uint64_t expected_ = 0;
  std::uint64_t written_ = 0;
  std::uint64_t flushed_ = 0;  // of these, on their way to the disk
  std::uint64_t header_bytes_ = 0;
  bool durable_ = true;
};

// Small adapters held in memory: name -> spec and bytes.
struct HostTensor {
  TensorSpec spec;
  std::vector<std::byte> bytes;
};
Result<SafetensorsWriter::Written> WriteSafetensors(
    const std::string& path, const std::vector<HostTensor>& tensors,
    const std::map<std::string, std::string>& metadata = {});

}  // namespace tributary
