// new Recording(): all system calls of this environment, and of the threads that it has started, are recorded into a
// memory from start() on, until stop(), or until the object is collected, or its environment ends. recordInFile():
// into a file, until the thread ends. TypeScript lays the memory out and reads it (src/trace/trace-memory.ts);
// core/trace.h says what is written when.
//
// The address is written to by any of the threads, at any time: so the memory is one that nobody can take away. Of what
// JavaScript has, that is a SharedArrayBuffer's alone: an ArrayBuffer's is moved by a transfer, given back by a resize.
// A file is mapped here, once for all threads, JavaScript never sees that, and it stays until the process ends: what is
// recorded while a thread ends has a place to go. (Whoever can write the file could make it shorter: it is its owner's
// alone, as that of a SharedFile is.)
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

// More would not fit into every ArrayBuffer, in which it is read.
constexpr size_t kMaxBytes = size_t{1} << 30;

class MappedFiles {
 public:
  static MappedFiles& OfProcess() {
    // Never destroyed: a worker may end after the main thread has begun to.
    static auto* const files = new MappedFiles;
    return *files;
  }

  // So many bytes of it. The same memory each time.
  Result Map(const std::string& path, size_t size, std::span<uint8_t>* bytes) {
    const Result opened = OpenFile(path);
    if (!opened.ok()) return opened;
    const auto file = static_cast<FileHandle>(opened.value());
    const Result mapped = MapOnce(file, size, bytes);
    CloseFile(file).Ignore("what is mapped stays");
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
  ~Recording() override { End(); }

 private:
  // start(memory): 0 or a negative error. EINVAL: it records already, or that is no memory for a trace.
  Napi::Value Start(const Napi::CallbackInfo& info) {
    Args args(info);
    const std::span<uint8_t> bytes = args.SharedBytesAt(0);
    if (!args.ok()) return info.Env().Undefined();
    if (id_ != 0) return Answer(info, Result::Error(kInvalidArgument));
    memory_ = Napi::Persistent(info[0].As<Napi::Object>());
    id_ = recorder_->Add(bytes);
    if (id_ == 0) memory_.Reset();
    return Answer(info, id_ == 0 ? Result::Error(kInvalidArgument) : Result::Ok(0));
  }

  void Stop(const Napi::CallbackInfo&) { End(); }

  void End() {
    if (id_ == 0) return;
    recorder_->Remove(id_);
    id_ = 0;
    memory_.Reset();
  }

  static Napi::Value Answer(const Napi::CallbackInfo& info, Result result) {
    return {info.Env(), ToJavaScript(info.Env(), result)};
  }

  std::shared_ptr<Recorder> recorder_;
  uint64_t id_ = 0;               // 0: it does not record
  Napi::ObjectReference memory_;  // as long as somebody writes to it
};

// recordInFile(path, size): 0 or a negative error. EINVAL: its first so many bytes are no memory for a trace. The
// second time nothing happens.
napi_value RecordInFile(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const std::string path = args.StringAt(0);
  const size_t size = args.SizeAt(1, kMaxBytes);
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

// monotonicMilliseconds(): the clock of the records, which all processes of a system have in common.
napi_value Now(napi_env env, napi_callback_info) {
  napi_value result = nullptr;
  napi_create_double(env, MonotonicMilliseconds(), &result);
  return result;
}

}  // namespace

void RegisterRecording(Napi::Env env, Napi::Object exports) {
  exports.Set("Recording", Recording::Define(env));
  Export(env, exports, "recordInFile", RecordInFile);
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
