// Ctrl-C and SIGTERM for a command that has something to put in order before it ends.
#pragma once

namespace tributary {

// From now on the first SIGINT or SIGTERM is only noted; the second one ends the program.
void NoteInterruption();

// Whether one has come. Any thread.
bool Interrupted();

}  // namespace tributary
