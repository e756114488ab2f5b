// SHA-256 digests: the names of blobs, and how bytes are verified.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/status.h"

namespace tributary {

struct Digest {
  std::array<std::uint8_t, 32> bytes{};

  std::string ToHex() const;  // 64 lower-case hex digits
  static Result<Digest> FromHex(std::string_view hex);
  bool IsZero() const { return *this == Digest{}; }

  friend auto operator<=>(const Digest&, const Digest&) = default;
};

// Incremental hashing. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void Update(const void* data, std::size_t size);
  void Update(std::string_view text) { Update(text.data(), text.size()); }
  Digest Finish();  // once; the object is spent afterwards

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Digest Sha256Of(std::string_view bytes);
// Hashes a file in 1 MiB reads. Cancelled when `keep_going`, asked before each, says no.
Result<Digest> Sha256OfFile(const std::string& path,
                            const std::function<bool()>& keep_going = nullptr);

}  // namespace tributary
