/* Wine 8 has no bcryptprimitives.dll; programs written in Rust (rolldown, lightningcss: vitest's) import ProcessPrng from it.
 * This one answers through advapi32's RtlGenRandom. It goes into system32 of the prefix: Node loads addons with an altered search
 * path, which leaves the folder of node.exe out. */
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
