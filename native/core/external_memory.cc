#include "core/external_memory.h"

#include <utility>

namespace selectors {
namespace {

// When an environment ends, Node finalizes external memory in reverse order of creation. So the finalizer of a second
// ArrayBuffer, the witness, runs just before that of the first one: at that moment the first one still has its memory
// unless it was moved. Should a future Node use another order, memory is kept that could be freed; nothing else
// changes.
struct ExternalBuffer {
  std::unique_ptr<ExternalMemory> memory;  // null: freed or kept already
  napi_ref buffer = nullptr;               // weak
  napi_ref witness = nullptr;              // strong, until `memory` is freed or kept
  bool has_witness = false;                // the witness's finalizer deletes this object
  bool is_ending = false;                  // the environment ends: the witness was finalized first
  bool has_memory = false;                 // at that moment
  uint8_t witness_byte = 0;
};

// False also if the buffer was collected: then nothing shows where its memory is.
bool HasItsMemory(napi_env env, const ExternalBuffer& external) {
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return false;
  napi_value buffer = nullptr;
  bool is_detached = true;
  const bool is_there = napi_get_reference_value(env, external.buffer, &buffer) == napi_ok && buffer != nullptr &&
                        napi_is_detached_arraybuffer(env, buffer, &is_detached) == napi_ok && !is_detached;
  napi_close_handle_scope(env, scope);
  return is_there;
}

void FinalizeWitness(napi_env env, void*, void* hint) {
  auto* const external = static_cast<ExternalBuffer*>(hint);
  if (external->memory == nullptr) {
    delete external;
    return;
  }
  // The strong reference prevented its collection, so the environment ends.
  external->has_witness = false;
  external->is_ending = true;
  external->has_memory = external->witness != nullptr && HasItsMemory(env, *external);
}

// Node-API refuses any call that could run JavaScript while the environment ends.
bool IsEnding(napi_env env) {
  napi_value value = nullptr;
  return napi_get_boolean(env, true, &value) != napi_ok || napi_coerce_to_bool(env, value, &value) != napi_ok;
}

void Finalize(napi_env env, void*, void* hint) {
  auto* const external = static_cast<ExternalBuffer*>(hint);
  const std::unique_ptr<ExternalMemory> memory = std::move(external->memory);
  if (external->is_ending ? external->has_memory : !IsEnding(env)) {
    memory->Free();
  } else {
    memory->Keep();
  }
  for (napi_ref reference : {external->buffer, external->witness})
    if (reference != nullptr) napi_delete_reference(env, reference);
  if (!external->has_witness) delete external;
}

void AddWitness(napi_env env, napi_value buffer, ExternalBuffer* external) {
  if (napi_create_reference(env, buffer, 0, &external->buffer) != napi_ok) return;
  napi_value witness = nullptr;
  external->has_witness = true;
  if (napi_create_external_arraybuffer(env, &external->witness_byte, 1, FinalizeWitness, external, &witness) != napi_ok)
    return;
  napi_create_reference(env, witness, 1, &external->witness);
}

}  // namespace

napi_status CreateExternalArrayBuffer(napi_env env, std::span<uint8_t> bytes, std::unique_ptr<ExternalMemory> memory,
                                      napi_value* buffer) {
  auto* const external = new ExternalBuffer{std::move(memory)};
  const napi_status status =
      napi_create_external_arraybuffer(env, bytes.data(), bytes.size(), Finalize, external, buffer);
  if (status == napi_no_external_buffers_allowed) {
    external->memory->Free();
    delete external;
  }
  if (status == napi_ok) AddWitness(env, *buffer, external);
  return status;
}

}  // namespace selectors
