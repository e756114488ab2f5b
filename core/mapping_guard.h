// Lets a process outlive a mapped file that cannot be read: one that somebody shortened, or whose
// disk fails. The kernel answers such a read with SIGBUS, which ends a process that is not
// prepared.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace tributary {

// Guards one mapping. From the first page of it that cannot be read to its end, readers get zeros,
// and Damaged() says so: what was computed from the mapping is then worth nothing. Move-only;
// Damaged() from any thread.
class MappingGuard {
 public:
  MappingGuard() = default;  // guards nothing
  // Of a whole mapping, which outlives the guard. The first guard of a process installs a handler
  // for SIGBUS; faults elsewhere go on to the handler that was there before.
  MappingGuard(const void* data, std::size_t size);
  ~MappingGuard();
  MappingGuard(MappingGuard&& other) noexcept;
  MappingGuard& operator=(MappingGuard&& other) noexcept;

  bool guards() const { return slot_ != nullptr; }
  bool Damaged() const;

  struct Slot;

 private:
  Slot* slot_ = nullptr;
};

}  // namespace tributary
