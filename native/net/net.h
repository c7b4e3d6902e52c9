// Sockets and addresses: one function per system call, named after it.
//
// An address crosses to JavaScript as the bytes of this system's sockaddr, exactly as the kernel uses it. address.cc
// converts it from and to host, port and path.
#pragma once

#include <napi.h>

namespace selectors {

void RegisterAddress(Napi::Env env, Napi::Object exports);
void RegisterConstants(Napi::Env env, Napi::Object exports);
void RegisterSocket(Napi::Env env, Napi::Object exports);
// POSIX: sendmsg and recvmsg with SCM_RIGHTS.
void RegisterPassFds(Napi::Env env, Napi::Object exports);
// Windows: WSADuplicateSocket.
void RegisterShareSocket(Napi::Env env, Napi::Object exports);

}  // namespace selectors
