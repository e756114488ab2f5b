// The wire format of protocol buffers, read field by field.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tributary::trainer {

// One field of a message. Which member is set depends on the wire type.
struct ProtobufField {
  std::uint32_t number = 0;
  std::uint64_t varint = 0;  // also of a fixed width
  std::string_view bytes;    // of a string or an inner message; into the message that was read
};

// Not thread-safe. The bytes outlive the reader.
class ProtobufReader {
 public:
  explicit ProtobufReader(std::string_view bytes) : rest_(bytes) {}

  // The next field; none at the end, or where the bytes are no message: then ok() is false.
  std::optional<ProtobufField> Next();
  bool ok() const { return ok_; }

 private:
  std::optional<std::uint64_t> Varint();
  std::optional<std::string_view> Take(std::uint64_t size);
  bool ReadValue(std::uint64_t wire_type, ProtobufField* field);

  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace tributary::trainer
