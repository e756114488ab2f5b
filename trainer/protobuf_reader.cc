#include "trainer/protobuf_reader.h"

namespace tributary::trainer {

std::optional<std::uint64_t> ProtobufReader::Varint() {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

std::optional<std::string_view> ProtobufReader::Take(std::uint64_t size) {
  if (size > rest_.size()) return std::nullopt;
  const std::string_view bytes = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return bytes;
}

bool ProtobufReader::ReadValue(std::uint64_t wire_type, ProtobufField* field) {
  constexpr std::uint64_t kVarint = 0;
  constexpr std::uint64_t kFixed64 = 1;
  constexpr std::uint64_t kBytes = 2;
  constexpr std::uint64_t kFixed32 = 5;
  if (wire_type == kFixed64 || wire_type == kFixed32) {
    const auto bytes = Take(wire_type == kFixed64 ? 8 : 4);
    if (!bytes) return false;
    for (std::size_t i = bytes->size(); i-- > 0;) {
      field->varint = field->varint << 8 | static_cast<unsigned char>((*bytes)[i]);
    }
    return true;
  }
  if (wire_type != kVarint && wire_type != kBytes) return false;
  const auto value = Varint();
  if (!value) return false;
  if (wire_type == kVarint) {
    field->varint = *value;
    return true;
  }
  const auto bytes = Take(*value);
  if (bytes) field->bytes = *bytes;
  return bytes.has_value();
}

std::optional<ProtobufField> ProtobufReader::Next() {
  if (rest_.empty() || !ok_) return std::nullopt;
  const auto key = Varint();
  ProtobufField field;
  ok_ = key && ReadValue(*key & 7, &field);
  if (!ok_) return std::nullopt;
  field.number = static_cast<std::uint32_t>(*key >> 3);
  return field;
}

}  // namespace tributary::trainer
