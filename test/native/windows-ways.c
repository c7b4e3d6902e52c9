// An addon for the tests (CMakeLists.txt). It simulates behaviour of Windows that Wine does not have, and counts handles:
//
//   hideFailedConnects()  WSAPoll as before Windows 10, version 2004: no event for a failed connect
//   closeConsole()        the console window is closed: CTRL_CLOSE_EVENT is sent; the process ends (exit code 99) when
//                         the handlers have returned, or after five seconds. false: this system has no CtrlRoutine
//   openHandles()         the number of open handles of this process. Each number is tried, because Wine 8's
//                         GetProcessHandleCount returns 0
#include <winsock2.h>

#include <node_api.h>
#include <windows.h>

static int(WSAAPI* real_poll)(WSAPOLLFD*, ULONG, int);

static int has_peer(SOCKET socket) {
  struct sockaddr_storage peer;
  int size = sizeof peer;
  return getpeername(socket, (struct sockaddr*)&peer, &size) == 0;
}

static int WSAAPI old_poll(WSAPOLLFD* fds, ULONG count, int timeout) {
  const ULONGLONG start = GetTickCount64();
  for (;;) {
    int found = real_poll(fds, count, timeout == 0 ? 0 : 1);
    for (ULONG i = 0; i < count && found > 0; ++i) {
      if ((fds[i].revents & POLLERR) == 0 || has_peer(fds[i].fd)) continue;
      fds[i].revents = 0;
      --found;
    }
    if (found != 0 || (timeout >= 0 && GetTickCount64() - start >= (ULONGLONG)timeout)) return found;
    Sleep(1);
  }
}

// Replaces the function `old` by `replacement` in a module's import table. True if it was imported.
static int replace_import(HMODULE module, void* old, void* replacement) {
  BYTE* const base = (BYTE*)module;
  const IMAGE_NT_HEADERS* const headers = (const IMAGE_NT_HEADERS*)(base + ((const IMAGE_DOS_HEADER*)base)->e_lfanew);
  const IMAGE_DATA_DIRECTORY* const imports = &headers->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_IMPORT];
  const IMAGE_IMPORT_DESCRIPTOR* library = (const IMAGE_IMPORT_DESCRIPTOR*)(base + imports->VirtualAddress);
  for (; library->Name != 0; ++library) {
    for (void** entry = (void**)(base + library->FirstThunk); *entry != NULL; ++entry) {
      DWORD old_protection;
      if (*entry != old || !VirtualProtect(entry, sizeof *entry, PAGE_READWRITE, &old_protection)) continue;
      *entry = replacement;
      VirtualProtect(entry, sizeof *entry, old_protection, &old_protection);
      return 1;
    }
  }
  return 0;
}

static napi_value boolean(napi_env env, int value) {
  napi_value result = NULL;
  napi_get_boolean(env, value != 0, &result);
  return result;
}

static napi_value hide_failed_connects(napi_env env, napi_callback_info info) {
  (void)info;
  real_poll = (int(WSAAPI*)(WSAPOLLFD*, ULONG, int))GetProcAddress(GetModuleHandleW(L"ws2_32.dll"), "WSAPoll");
  const HMODULE addon = GetModuleHandleW(L"selectors_native.node");
  return boolean(env, addon != NULL && replace_import(addon, (void*)real_poll, (void*)old_poll));
}

static DWORD WINAPI end_process(void* handlers) {
  WaitForSingleObject((HANDLE)handlers, 5000);
  TerminateProcess(GetCurrentProcess(), 99);
  return 0;
}

static napi_value close_console(napi_env env, napi_callback_info info) {
  (void)info;
  const LPTHREAD_START_ROUTINE routine =
      (LPTHREAD_START_ROUTINE)GetProcAddress(GetModuleHandleW(L"kernelbase.dll"), "CtrlRoutine");
  if (routine == NULL) return boolean(env, 0);
  const HANDLE handlers = CreateThread(NULL, 0, routine, (void*)(UINT_PTR)CTRL_CLOSE_EVENT, 0, NULL);
  return boolean(env, handlers != NULL && CreateThread(NULL, 0, end_process, handlers, 0, NULL) != NULL);
}

static napi_value open_handles(napi_env env, napi_callback_info info) {
  (void)info;
  const UINT_PTR limit = 0x8000;  // handles are multiples of 4, the lowest free one first
  uint32_t count = 0;
  for (UINT_PTR handle = 4; handle < limit; handle += 4) {
    DWORD flags;
    count += GetHandleInformation((HANDLE)handle, &flags) != 0;
  }
  napi_value result = NULL;
  napi_create_uint32(env, count, &result);
  return result;
}

NAPI_MODULE_INIT() {
  napi_value function = NULL;
  napi_create_function(env, "hideFailedConnects", NAPI_AUTO_LENGTH, hide_failed_connects, NULL, &function);
  napi_set_named_property(env, exports, "hideFailedConnects", function);
  napi_create_function(env, "closeConsole", NAPI_AUTO_LENGTH, close_console, NULL, &function);
  napi_set_named_property(env, exports, "closeConsole", function);
  napi_create_function(env, "openHandles", NAPI_AUTO_LENGTH, open_handles, NULL, &function);
  napi_set_named_property(env, exports, "openHandles", function);
  return exports;
}
