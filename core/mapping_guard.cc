#include "core/mapping_guard.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <mutex>
#include <utility>
#include <vector>

#include "core/mutex.h"

namespace tributary {

// Slots are never freed, only used again: the handler may look at any of them at any time.
struct MappingGuard::Slot {
  static constexpr std::uintptr_t kUnused = UINTPTR_MAX;
  std::atomic<std::uintptr_t> begin{kUnused};
  std::atomic<std::uintptr_t> end{0};
  std::atomic<bool> damaged{false};
  Slot* next = nullptr;  // fixed once the slot is in the list
};

namespace {

using Slot = MappingGuard::Slot;

std::atomic<Slot*> g_slots{nullptr};
struct sigaction g_before {};
std::uintptr_t g_page = 4096;

static_assert(std::atomic<Slot*>::is_always_lock_free);
static_assert(std::atomic<std::uintptr_t>::is_always_lock_free);

// The mapping of the thread that faults lives, so its slot stands still; of another's that changes
// meanwhile at most one half is new, and `begin` tells.
Slot* SlotOf(std::uintptr_t address) {
  for (Slot* slot = g_slots.load(); slot != nullptr; slot = slot->next) {
    const std::uintptr_t begin = slot->begin.load();
    const std::uintptr_t end = slot->end.load();
    if (address >= begin && address < end && slot->begin.load() == begin) return slot;
  }
  return nullptr;
}

// Only what may be done in a signal handler: atomics and system calls.
void OnBusError(int, siginfo_t* info, void*) {
  const int error = errno;
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  Slot* slot = SlotOf(address);
  if (slot != nullptr) {
    const std::uintptr_t page = address & ~(g_page - 1);
    const std::uintptr_t end = (slot->end.load() + g_page - 1) & ~(g_page - 1);
    slot->damaged.store(true);
    void* zeros = mmap(reinterpret_cast<void*>(page), end - page, PROT_READ,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (zeros != MAP_FAILED) {
      errno = error;
      return;  // the read is made again
    }
  }
  sigaction(SIGBUS, &g_before, nullptr);  // the read is made again, and is no longer ours
  errno = error;
}

void Install() {
  g_page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  struct sigaction action {};
  action.sa_sigaction = OnBusError;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &g_before);
}

class SlotPool {
 public:
  Slot* Take() {
    MutexLock lock(mutex_);
    if (!free_.empty()) {
      Slot* slot = free_.back();
      free_.pop_back();
      return slot;
    }
    Slot* slot = new Slot;
    slot->next = g_slots.load();
    g_slots.store(slot);
    return slot;
  }
  void GiveBack(Slot* slot) {
    MutexLock lock(mutex_);
    free_.push_back(slot);
  }

 private:
  Mutex mutex_;
  std::vector<Slot*> free_ TRIBUTARY_GUARDED_BY(mutex_);
};

SlotPool& Pool() {
  static SlotPool* pool = new SlotPool;  // for guards that go with the process
  return *pool;
}

}  // namespace

MappingGuard::MappingGuard(const void* data, std::size_t size) {
  static std::once_flag once;
  std::call_once(once, Install);
  slot_ = Pool().Take();
  slot_->damaged.store(false);
  slot_->end.store(reinterpret_cast<std::uintptr_t>(data) + size);
  slot_->begin.store(reinterpret_cast<std::uintptr_t>(data));
}

MappingGuard::~MappingGuard() {
  if (slot_ == nullptr) return;
  slot_->begin.store(Slot::kUnused);
  slot_->end.store(0);
  Pool().GiveBack(slot_);
}

MappingGuard::MappingGuard(MappingGuard&& other) noexcept
    : slot_(std::exchange(other.slot_, nullptr)) {}

MappingGuard& MappingGuard::operator=(MappingGuard&& other) noexcept {
  std::swap(slot_, other.slot_);
  return *this;
}

bool MappingGuard::Damaged() const { return slot_ != nullptr && slot_->damaged.load(); }

}  // namespace tributary
