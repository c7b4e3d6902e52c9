// Windows: the completion port of each handle.
//
// A handle stays associated with one port until it is closed, and Windows has no query for it: a second
// CreateIoCompletionPort fails, whichever port it names. So this table of the process records it. A closed handle is
// removed, because its number can be reused; a duplicated handle is the same file and has the same port.
//
// The association outlives the port: a socket whose port was closed can never get another one. So a port that is no
// longer needed while its handles are open can be retired: the next port that is requested is that one.
#pragma once

#include "platform/platform.h"

namespace selectors {

void RememberPort(HANDLE handle, HANDLE port);
// Null: no port of this process.
HANDLE PortOf(HANDLE handle);
// Call it before closing the handle: after that the number may already be reused.
void ForgetPortOf(HANDLE handle);
// Closes the port and forgets its handles.
Result ClosePort(HANDLE port);

// Retires a port that no thread waits in, with no pending operation and no packet. It is closed with its last handle.
void RetirePort(HANDLE port, DWORD concurrency);
// The retired port of this concurrency, the latest first. Null: there is none.
HANDLE TakeRetiredPort(DWORD concurrency);

}  // namespace selectors
