// Passes a socket to another process on Windows: WSADuplicateSocket describes it in a WSAPROTOCOL_INFO, which one
// process can use once; there WSASocket creates the socket. The first process must keep its own socket open until then.
#include <cstring>

#include "core/args.h"
#include "core/descriptor.h"
#include "core/syscall.h"
#include "net/net.h"

namespace selectors {
namespace {

// WSADuplicateSocket(fd, pid, out): 0; `out`, of WSAPROTOCOL_INFO_SIZE bytes, receives the WSAPROTOCOL_INFO.
napi_value DuplicateSocket(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd fd = args.FdAt(0);
  const size_t pid = args.SizeAt(1, UINT32_MAX);
  const std::span<uint8_t> out = args.BytesAt(2);
  WSAPROTOCOL_INFOW description{};
  if (args.ok() && out.size() < sizeof description) args.Fail(2, "large enough for a WSAPROTOCOL_INFO");
  if (!args.ok()) return nullptr;
  const Result result = Call<::WSADuplicateSocketW>(fd, static_cast<DWORD>(pid), &description);
  if (result.ok()) std::memcpy(out.data(), &description, sizeof description);
  return ToJavaScript(env, result);
}

// WSASocket(description): the descriptor.
napi_value FromDescription(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const std::span<uint8_t> bytes = args.BytesAt(0);
  WSAPROTOCOL_INFOW description{};
  if (args.ok() && bytes.size() != sizeof description) args.Fail(0, "the bytes of a WSAPROTOCOL_INFO");
  if (!args.ok()) return nullptr;
  std::memcpy(&description, bytes.data(), sizeof description);
  return NewFdToJavaScript(
      env, Call<::WSASocketW>(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, &description, GROUP{0},
                              DWORD{WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT}));
}

}  // namespace

void RegisterShareSocket(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "WSADuplicateSocket", DuplicateSocket);
  Export(env, exports, "WSASocket", FromDescription);
  exports.Set("WSAPROTOCOL_INFO_SIZE", Napi::Number::New(env, sizeof(WSAPROTOCOL_INFOW)));
}

}  // namespace selectors
