// Windows: which completion port has a handle. A handle belongs to one port for as long as it is open, and Windows
// tells nobody to which: CreateIoCompletionPort only refuses the second time, whichever port it was the first time. So
// it is written down here, for the process, since numbers are used again: what is closed is forgotten, and a duplicate
// is its original's file, and so its port's.
#pragma once

#include "platform/platform.h"

namespace selectors {

void RememberPort(HANDLE handle, const void* port);
// Null: none of this process's ports.
const void* PortOf(HANDLE handle);
// Before it is closed: afterwards the number may be somebody else's already.
void ForgetPortOf(HANDLE handle);
// Of all its handles.
void ForgetPort(const void* port);

}  // namespace selectors
