// sys/event.h, and the constants of kqueue that a system may lack; they are 0 there. By the sources (sys/sys/event.h):
// EVFILT_USER, EV_RECEIPT and EV_DISPATCH are not in NetBSD before 10 nor in older OpenBSD (revision 1.16 of 2012 has
// none of them, 1.74 of 2025 has all). EVFILT_EXCEPT is macOS' and OpenBSD's.
#pragma once

#include <sys/types.h>
// After sys/types.h.
#include <sys/event.h>
#include <sys/time.h>

namespace selectors {

#ifdef EVFILT_USER
inline constexpr int kUserFilter = static_cast<int>(EVFILT_USER);
#else
inline constexpr int kUserFilter = 0;
#endif
#ifdef EVFILT_EXCEPT  // OpenBSD; macOS 10.13
inline constexpr int kExceptFilter = static_cast<int>(EVFILT_EXCEPT);
#else
inline constexpr int kExceptFilter = 0;
#endif
#ifdef NOTE_OOB  // of EVFILT_EXCEPT
inline constexpr uint32_t kOutOfBandNote = NOTE_OOB;
#else
inline constexpr uint32_t kOutOfBandNote = 0;
#endif
#ifdef EV_RECEIPT
inline constexpr int kReceiptFlag = static_cast<int>(EV_RECEIPT);
#else
inline constexpr int kReceiptFlag = 0;
#endif
#ifdef EV_DISPATCH
inline constexpr int kDispatchFlag = static_cast<int>(EV_DISPATCH);
#else
inline constexpr int kDispatchFlag = 0;
#endif

}  // namespace selectors
