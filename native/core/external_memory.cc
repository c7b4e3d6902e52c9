#include "core/external_memory.h"

#include <utility>

namespace selectors {
namespace {

// When an environment ends, Node finalizes external memory in the reverse order in which it was made. So the finalizer
// of a second ArrayBuffer, the witness, is called while the first one still has its memory, or has lost it to another.
// An order that is another one in a future Node costs memory, and nothing else: without a witness the memory is kept.
struct Shown {
  std::unique_ptr<ExternalMemory> memory;  // null: it is freed, or kept
  napi_ref buffer = nullptr;               // weak
  napi_ref witness = nullptr;              // strong, as long as there is the memory
  bool has_witness = false;                // its finalizer deletes this object
  bool is_ending = false;
  bool is_there = false;
  uint8_t of_witness = 0;
};

// Collected, it cannot be asked: where its memory is, is not known.
bool HasItsMemory(napi_env env, const Shown& shown) {
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return false;
  napi_value buffer = nullptr;
  bool is_detached = true;
  const bool is_there = napi_get_reference_value(env, shown.buffer, &buffer) == napi_ok && buffer != nullptr &&
                        napi_is_detached_arraybuffer(env, buffer, &is_detached) == napi_ok && !is_detached;
  napi_close_handle_scope(env, scope);
  return is_there;
}

void FinalizeWitness(napi_env env, void*, void* hint) {
  auto* const shown = static_cast<Shown*>(hint);
  if (shown->memory == nullptr) {
    delete shown;
    return;
  }
  // It is not collected before: the environment ends.
  shown->has_witness = false;
  shown->is_ending = true;
  shown->is_there = shown->witness != nullptr && HasItsMemory(env, *shown);
}

// A call that could run JavaScript, as far as Node-API knows, is refused to an environment that ends.
bool IsEnding(napi_env env) {
  napi_value value = nullptr;
  return napi_get_boolean(env, true, &value) != napi_ok || napi_coerce_to_bool(env, value, &value) != napi_ok;
}

void Finalize(napi_env env, void*, void* hint) {
  auto* const shown = static_cast<Shown*>(hint);
  const std::unique_ptr<ExternalMemory> memory = std::move(shown->memory);
  if (shown->is_ending ? shown->is_there : !IsEnding(env)) {
    memory->Free();
  } else {
    memory->Keep();
  }
  for (napi_ref reference : {shown->buffer, shown->witness})
    if (reference != nullptr) napi_delete_reference(env, reference);
  if (!shown->has_witness) delete shown;
}

void AddWitness(napi_env env, napi_value buffer, Shown* shown) {
  if (napi_create_reference(env, buffer, 0, &shown->buffer) != napi_ok) return;
  napi_value witness = nullptr;
  shown->has_witness = true;
  if (napi_create_external_arraybuffer(env, &shown->of_witness, 1, FinalizeWitness, shown, &witness) != napi_ok) return;
  napi_create_reference(env, witness, 1, &shown->witness);
}

}  // namespace

napi_status CreateExternalArrayBuffer(napi_env env, std::span<uint8_t> bytes, std::unique_ptr<ExternalMemory> memory,
                                      napi_value* buffer) {
  auto* const shown = new Shown{std::move(memory)};
  const napi_status status = napi_create_external_arraybuffer(env, bytes.data(), bytes.size(), Finalize, shown, buffer);
  if (status == napi_no_external_buffers_allowed) {
    shown->memory->Free();
    delete shown;
  }
  if (status == napi_ok) AddWitness(env, *buffer, shown);
  return status;
}

}  // namespace selectors
