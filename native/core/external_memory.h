// An ArrayBuffer over memory that V8 has not allocated: a mapped file, or memory shared with the kernel. When can that
// memory be freed?
//
// An ArrayBuffer can lose its memory to another one, by ArrayBuffer.prototype.transfer (Node 22) or by a stream's BYOB
// reader, although Node refuses to post it. The other one can be posted to another thread and outlive this thread.
// While this environment lives, Node calls the finalizer when the last owner is collected, in whatever thread. When
// this environment ends, Node calls it in any case: it detaches the original ArrayBuffer, while memory that was moved
// away is still in use. So we check, just before Node detaches it, whether the ArrayBuffer still has its memory.
//
// Never mark such an ArrayBuffer with markAsUntransferable(): since Node 24 that sets a detach key, without which Node
// cannot detach it, and aborts (CallbackInfo, src/node_buffer.cc). Node refuses to post it without the mark.
#pragma once

#include <node_api.h>

#include <cstdint>
#include <memory>
#include <span>

namespace selectors {

class ExternalMemory {
 public:
  virtual ~ExternalMemory() = default;
  // The last owner was collected: free or unmap the memory.
  virtual void Free() = 0;
  // Another thread may use the memory: leave it valid until the process ends.
  virtual void Keep() = 0;
};

// Creates an ArrayBuffer over `bytes` (at least one). Calls memory->Free() or memory->Keep() once, in this thread: when
// the ArrayBuffer, and all those to which its memory was moved, are collected, or when this environment ends.
// napi_no_external_buffers_allowed: this program (Electron) allows none; `memory` was freed. Any other failure happens
// only while the environment is being terminated: then Node may or may not call the finalizer, and without that
// `memory` is never freed.
napi_status CreateExternalArrayBuffer(napi_env env, std::span<uint8_t> bytes, std::unique_ptr<ExternalMemory> memory,
                                      napi_value* buffer);

}  // namespace selectors
