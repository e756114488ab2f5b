#include "core/interruption.h"

#include <csignal>

namespace tributary {
namespace {

volatile std::sig_atomic_t g_interrupted = 0;

extern "C" void OnInterruption(int /*signal*/) { g_interrupted = 1; }

}  // namespace

void NoteInterruption() {
  struct sigaction action = {};
  action.sa_handler = OnInterruption;
  action.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND);
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  sigset_t both;  // whoever started this may have had them blocked
  sigemptyset(&both);
  sigaddset(&both, SIGINT);
  sigaddset(&both, SIGTERM);
  pthread_sigmask(SIG_UNBLOCK, &both, nullptr);
}

bool Interrupted() { return g_interrupted != 0; }

}  // namespace tributary
