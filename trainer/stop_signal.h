// SIGTERM, and SIGUSR1 as the scheduler's warning before walltime, ask the trainer to finish with
// what it has.
#pragma once

namespace tributary::trainer {

// Installs the handlers, once, from the main thread.
void InstallStopSignals();
// SIGINT, a person's Ctrl-C, asks for the same. The second one ends the program.
void StopOnInterrupt();

// True once a signal has come. Any thread.
bool StopRequested();

}  // namespace tributary::trainer
