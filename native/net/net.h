// Sockets and their addresses, one function a system call, named after it.
//
// All addresses cross as bytes, a sockaddr as this system lays it out: what the kernel takes is what JavaScript can
// hold, keep and compare. net/address.cc translates them from and to host, port and path.
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
