// Each mechanism is one file that exports its system calls to JavaScript and knows no other. A file that is not
// compiled on this system is not called for (addon.cc).
#pragma once

#include <napi.h>

#include "core/multiplexer.h"

namespace selectors {

void RegisterSelect(Napi::Env env, Napi::Object exports);
void RegisterPoll(Napi::Env env, Napi::Object exports);
void RegisterEpoll(Napi::Env env, Napi::Object exports);
void RegisterKqueue(Napi::Env env, Napi::Object exports);
void RegisterIocp(Napi::Env env, Napi::Object exports);
void RegisterIoUring(Napi::Env env, Napi::Object exports);

extern const MultiplexerRow kSelect;
extern const MultiplexerRow kPoll;
extern const MultiplexerRow kEpoll;
extern const MultiplexerRow kKqueue;

}  // namespace selectors
