// Memory that JavaScript's engine has not allocated, shown as an ArrayBuffer: what is mapped of a file, or shared with
// the kernel.
//
// An ArrayBuffer can lose its memory to another one: to ArrayBuffer.prototype.transfer (Node 22) and to the BYOB reader
// of a stream, whatever Node refuses to postMessage. The other one can be posted to another thread, and outlive this
// one. While this environment lives, the finalizer is called when the last owner is collected, in whatever thread.
// When this environment ends, Node calls it in any case: it detaches the ArrayBuffer that it knows, and what has been
// moved away is still in use. So we look, just before Node does, whether the ArrayBuffer still has its memory.
//
// Never mark such an ArrayBuffer with markAsUntransferable(): since Node 24 that sets a detach key, without which Node
// cannot detach it, and aborts (CallbackInfo, src/node_buffer.cc). Node refuses to post it by itself.
#pragma once

#include <node_api.h>

#include <cstdint>
#include <memory>
#include <span>

namespace selectors {

class ExternalMemory {
 public:
  virtual ~ExternalMemory() = default;
  // The last owner is gone: the memory can be unmapped.
  virtual void Free() = 0;
  // Another thread may have the memory: it stays mapped until the process ends.
  virtual void Keep() = 0;
};

// An ArrayBuffer over `bytes`, of which there is at least one. Calls Free() or Keep() of `memory` once, in this thread:
// when the ArrayBuffer, and all to which its memory was moved, are collected, or when this environment ends. Where this
// program allows no ArrayBuffer over foreign memory (napi_no_external_buffers_allowed), `memory` is freed. Other
// failures are those of an environment that is being terminated: Node does not say whether a finalizer is called, and
// without one `memory` is never freed.
napi_status CreateExternalArrayBuffer(napi_env env, std::span<uint8_t> bytes, std::unique_ptr<ExternalMemory> memory,
                                      napi_value* buffer);

}  // namespace selectors
