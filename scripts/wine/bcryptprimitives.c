/* Wine 8 has no bcryptprimitives.dll, but the Rust programs in vitest (rolldown, lightningcss) import ProcessPrng from
 * it. This one calls advapi32's RtlGenRandom. It is copied to system32 of the prefix: Node.js loads addons with
 * LOAD_WITH_ALTERED_SEARCH_PATH, which does not search the folder of node.exe. */
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length); /* RtlGenRandom */
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length) {
  while (length > 0) {
    ULONG part = length > 0x10000000 ? 0x10000000 : (ULONG)length;
    if (!SystemFunction036(data, part)) return FALSE;
    data += part;
    length -= part;
  }
  return TRUE;
}
