// The mechanisms, as addon.cc calls them. Each one exports its system calls to JavaScript and depends on no other.
// Which files are compiled on which system: native/sources.gypi.
#pragma once

#include <napi.h>

#include "core/multiplexer.h"

namespace selectors {

void RegisterSelect(Napi::Env env, Napi::Object exports);
void RegisterPoll(Napi::Env env, Napi::Object exports);
void RegisterEpoll(Napi::Env env, Napi::Object exports);
void RegisterKqueue(Napi::Env env, Napi::Object exports);
void RegisterAfd(Napi::Env env, Napi::Object exports);
void RegisterDevpoll(Napi::Env env, Napi::Object exports);
void RegisterIocp(Napi::Env env, Napi::Object exports);
void RegisterIoUring(Napi::Env env, Napi::Object exports);

extern const MultiplexerRow kSelect;
extern const MultiplexerRow kPoll;
extern const MultiplexerRow kEpoll;
extern const MultiplexerRow kKqueue;
extern const MultiplexerRow kAfd;
extern const MultiplexerRow kDevpoll;

}  // namespace selectors
