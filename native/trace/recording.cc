// Recording: records the system calls of this environment, and of the threads that it has started, in a ring in memory,
// from start() until stop(), or until the object is collected or its environment ends. recordInFile() records in a ring
// in a file, until the thread ends. TypeScript creates and reads the ring (src/trace/trace-memory.ts); core/trace.h
// describes it.
//
// Any of these threads may write to the ring at any time, so its memory must not go away. In JavaScript only a
// SharedArrayBuffer guarantees that: an ArrayBuffer can be transferred or resized. A file is mapped once for all
// threads, is not visible to JavaScript, and stays mapped until the process ends, so calls made while a thread ends can
// still be recorded. (Truncating the file would break this; like that of a SharedFile, only its owner may write it.)
#include "trace/recording.h"

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/args.h"
#include "core/environment.h"
#include "core/trace.h"
#include "platform/platform.h"

namespace selectors {
namespace {

class MappedFiles {
 public:
  static MappedFiles& OfProcess() {
    // Never destroyed: a worker may still run while the main thread exits.
    static auto* const files = new MappedFiles;
    return *files;
  }

  // Maps the first `size` bytes of the file; the same memory for each call.
  Result Map(const std::string& path, size_t size, std::span<uint8_t>* bytes) {
    const Result opened = OpenFile(path);
    if (!opened.ok()) return opened;
    const auto file = static_cast<FileHandle>(opened.value());
    const Result mapped = MapOnce(file, size, bytes);
    CloseFile(file).Ignore("the mapping stays valid");
    return mapped;
  }

 private:
  struct Mapping {
    FileIdentity file;
    std::span<uint8_t> bytes;
  };

  Result MapOnce(FileHandle file, size_t size, std::span<uint8_t>* bytes) {
    const std::lock_guard lock(mutex_);
    FileIdentity identity;
    const Result identified = IdentifyFile(file, &identity);
    if (!identified.ok()) return identified;
    for (const Mapping& one : mappings_) {
      if (one.file.device != identity.device || one.file.number != identity.number) continue;
      *bytes = one.bytes;
      return Result::Ok(0);
    }
    const Result grown = GrowFile(file, size);
    if (!grown.ok()) return grown;
    void* memory = nullptr;
    const Result mapped = MapFile(file, size, &memory);
    if (!mapped.ok()) return mapped;
    *bytes = {static_cast<uint8_t*>(memory), size};
    mappings_.push_back({identity, *bytes});
    return Result::Ok(0);
  }

  std::mutex mutex_;
  std::vector<Mapping> mappings_;
};

class Recording : public Napi::ObjectWrap<Recording> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Recording",
                       {InstanceMethod<&Recording::Start>("start"), InstanceMethod<&Recording::Stop>("stop")});
  }

  explicit Recording(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<Recording>(info), recorder_(Environment::Of(info.Env()).recorder()) {}
  ~Recording() override { StopRecording(); }

 private:
  // start(memory): 0 or a negative error. EINVAL: it is recording already, or `memory` is not a ring.
  Napi::Value Start(const Napi::CallbackInfo& info) {
    Args args(info);
    const std::span<uint8_t> bytes = args.SharedBytesAt(0);
    if (!args.ok()) return info.Env().Undefined();
    if (id_ != 0) return ToValue(info, Result::Error(kInvalidArgument));
    memory_ = Napi::Persistent(info[0].As<Napi::Object>());
    id_ = recorder_->Add(bytes);
    if (id_ == 0) memory_.Reset();
    return ToValue(info, id_ == 0 ? Result::Error(kInvalidArgument) : Result::Ok(0));
  }

  void Stop(const Napi::CallbackInfo&) { StopRecording(); }

  void StopRecording() {
    if (id_ == 0) return;
    recorder_->Remove(id_);
    id_ = 0;
    memory_.Reset();
  }

  static Napi::Value ToValue(const Napi::CallbackInfo& info, Result result) {
    return {info.Env(), ToJavaScript(info.Env(), result)};
  }

  std::shared_ptr<Recorder> recorder_;
  uint64_t id_ = 0;               // of Recorder::Add; 0: not recording
  Napi::ObjectReference memory_;  // while the recorder writes to it
};

// recordInFile(path, size): 0 or a negative error. EINVAL: the first `size` bytes of the file are not a ring. A second
// call for the same file has no effect.
napi_value RecordInFile(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const std::string path = args.StringAt(0);
  const size_t size = args.SizeAt(1, kMaxMappedBytes);
  if (args.ok() && path.find('\0') != std::string::npos) args.Fail(0, "a path, without a NUL");
  if (!args.ok()) return nullptr;
  if (size == 0) return ToJavaScript(env, Result::Error(kInvalidArgument));
  std::span<uint8_t> bytes;
  const Result mapped = MappedFiles::OfProcess().Map(path, size, &bytes);
  if (!mapped.ok()) return ToJavaScript(env, mapped);
  const std::shared_ptr<Recorder>& recorder = Environment::Of(env).recorder();
  const bool is_recorded = recorder->Has(bytes.data()) || recorder->Add(bytes) != 0;
  return ToJavaScript(env, is_recorded ? Result::Ok(0) : Result::Error(kInvalidArgument));
}

// setProbing(isProbing): marks the later records of this thread as those of a probe.
napi_value MarkProbe(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const bool is_probing = args.BooleanAt(0);
  if (args.ok()) SetProbing(is_probing);
  return nullptr;
}

// setSliceCell(cell): see SetSliceCell(). The array is kept for as long as the environment.
napi_value KeepSliceCell(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const std::span<int32_t> cell = args.SharedIntsAt(0);
  if (args.ok() && cell.empty()) args.Fail(0, "an Int32Array of one element");
  if (!args.ok()) return nullptr;
  napi_ref reference = nullptr;  // strong, and deleted with the environment
  if (napi_create_reference(env, args.ValueAt(0), 1, &reference) == napi_ok) SetSliceCell(cell.data());
  return nullptr;
}

// monotonicMilliseconds(): the clock of the records, which all processes of a system share.
napi_value Now(napi_env env, napi_callback_info) {
  napi_value result = nullptr;
  napi_create_double(env, MonotonicMilliseconds(), &result);
  return result;
}

}  // namespace

void RegisterRecording(Napi::Env env, Napi::Object exports) {
  exports.Set("Recording", Recording::Define(env));
  Export(env, exports, "recordInFile", RecordInFile);
  Export(env, exports, "setProbing", MarkProbe);
  Export(env, exports, "setSliceCell", KeepSliceCell);
  Export(env, exports, "monotonicMilliseconds", Now);
  const auto constant = [&](const char* name, size_t value) {
    exports.Set(name, Napi::Number::New(env, static_cast<double>(value)));
  };
  constant("TRACE_HEADER_SIZE", sizeof(TraceHeader));
  constant("TRACE_RECORD_SIZE", sizeof(TraceRecord));
  constant("TRACE_MAGIC", TraceHeader::kMagic);
  constant("TRACE_ABANDONED", TraceRecord::kAbandoned);
}

}  // namespace selectors
