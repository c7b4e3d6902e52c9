// Windows: which completion port has a handle. A handle belongs to one port for as long as it is open, and Windows
// tells nobody to which: CreateIoCompletionPort only refuses the second time, whichever port it was the first time. So
// it is written down here, for the process, since numbers are used again: what is closed is forgotten, and a duplicate
// is its original's file, and so its port's.
//
// That outlasts the port: a socket whose port is closed can never have another. So a port that is not needed any more,
// and whose handles are still open, may be retired: the next one that is wanted is that one, with its handles.
#pragma once

#include "platform/platform.h"

namespace selectors {

void RememberPort(HANDLE handle, HANDLE port);
// Null: none of this process's ports.
HANDLE PortOf(HANDLE handle);
// Before it is closed: afterwards the number may be somebody else's already.
void ForgetPortOf(HANDLE handle);
// The port is closed.
Result ClosePort(HANDLE port);

// Nobody waits in the port, no operation is under way for it, and nothing is in it. It is closed with the last of its
// handles.
void RetirePort(HANDLE port, DWORD concurrency);
// One that was made with this concurrency, the last one first. Null: there is none.
HANDLE TakeRetiredPort(DWORD concurrency);

}  // namespace selectors
