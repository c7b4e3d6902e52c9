// SharedFile: a file that processes map as shared memory (mmap(2)), with a lock (flock(2), LockFileEx) that the system
// releases when its holder exits.
//
// There are two lifetimes. The file is open, and may be locked, until close(). The mapping lives as long as JavaScript
// has the ArrayBuffer (core/external_memory.h). If another thread may still use it when this environment ends, it is
// never unmapped but retired: any later map() of the same file reuses it, so that a process whose threads come and go
// does not accumulate mappings.
#include "shared/shared_file.h"

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/args.h"
#include "core/external_memory.h"
#include "platform/platform.h"

namespace selectors {
namespace {

class UniqueFile {
 public:
  UniqueFile() = default;
  explicit UniqueFile(FileHandle file) : file_(file) {}
  UniqueFile(UniqueFile&& other) noexcept : file_(std::exchange(other.file_, kNoFile)) {}
  UniqueFile& operator=(UniqueFile&& other) noexcept {
    std::swap(file_, other.file_);
    return *this;
  }
  UniqueFile(const UniqueFile&) = delete;
  UniqueFile& operator=(const UniqueFile&) = delete;
  ~UniqueFile() { Close().Ignore("the file is closed whatever close(2) returns"); }

  FileHandle get() const { return file_; }
  bool is_open() const { return file_ != kNoFile; }
  // Closes once; later calls do nothing.
  Result Close() { return is_open() ? CloseFile(std::exchange(file_, kNoFile)) : Result::Ok(0); }

 private:
  FileHandle file_ = kNoFile;
};

struct Mapping {
  FileIdentity file;
  size_t size = 0;
  void* memory = nullptr;
};

class RetiredMappings {
 public:
  static RetiredMappings& OfProcess() {
    // Never destroyed: a worker may still run while the main thread exits.
    static auto* const mappings = new RetiredMappings;
    return *mappings;
  }
  void Add(std::unique_ptr<const Mapping> mapping) {
    const std::lock_guard lock(mutex_);
    mappings_.push_back(std::move(mapping));
  }
  // The mapping of `size` bytes of that file; null: there is none. A mapping keeps its file, so the file's number is
  // not reused.
  const Mapping* Find(const FileIdentity& file, size_t size) {
    const std::lock_guard lock(mutex_);
    for (const auto& one : mappings_)
      if (one->size == size && one->file.device == file.device && one->file.number == file.number) return one.get();
    return nullptr;
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<const Mapping>> mappings_;
};

// The mapping behind an ArrayBuffer.
class MappedMemory : public ExternalMemory {
 public:
  Result Map(FileHandle file, size_t size) {
    FileIdentity identity;
    const Result identified = IdentifyFile(file, &identity);
    if (!identified.ok()) return identified;
    if (const Mapping* const retired = RetiredMappings::OfProcess().Find(identity, size)) {
      memory_ = retired->memory;
      return Result::Ok(0);
    }
    own_ = std::make_unique<Mapping>(Mapping{identity, size, nullptr});
    const Result mapped = MapFile(file, size, &own_->memory);
    memory_ = own_->memory;
    if (!mapped.ok()) own_.reset();
    return mapped;
  }
  uint8_t* memory() const { return static_cast<uint8_t*>(memory_); }

  void Free() override {
    if (own_ == nullptr) return;
    UnmapFile(own_->memory, own_->size);
    own_.reset();
  }
  void Keep() override {
    if (own_ != nullptr) RetiredMappings::OfProcess().Add(std::move(own_));
  }

 private:
  std::unique_ptr<Mapping> own_;  // null: a retired mapping
  void* memory_ = nullptr;
};

// new SharedFile(): open(path), grow(size), map(), then lock(wait), unlock(); close().
class SharedFile : public Napi::ObjectWrap<SharedFile> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "SharedFile",
                       {InstanceMethod<&SharedFile::Open>("open"), InstanceMethod<&SharedFile::Grow>("grow"),
                        InstanceMethod<&SharedFile::Map>("map"), InstanceMethod<&SharedFile::Lock>("lock"),
                        InstanceMethod<&SharedFile::Unlock>("unlock"), InstanceMethod<&SharedFile::Close>("close")});
  }

  explicit SharedFile(const Napi::CallbackInfo& info) : Napi::ObjectWrap<SharedFile>(info) {}
  ~SharedFile() override { CloseAndUnlock().Ignore("the file is closed whatever close(2) returns"); }

 private:
  // open(path): 0 or a negative error. EINVAL: it is open already.
  Napi::Value Open(const Napi::CallbackInfo& info) {
    Args args(info);
    const std::string path = args.StringAt(0);
    if (args.ok() && path.find('\0') != std::string::npos) args.Fail(0, "a path, without a NUL");
    if (!args.ok()) return info.Env().Undefined();
    if (file_.is_open()) return ToValue(info, Result::Error(kInvalidArgument));
    const Result opened = OpenFile(path);
    if (!opened.ok()) return ToValue(info, opened);
    file_ = UniqueFile(static_cast<FileHandle>(opened.value()));
    return ToValue(info, Result::Ok(0));
  }

  // grow(size): 0 or a negative error. Makes the file at least `size` bytes long.
  Napi::Value Grow(const Napi::CallbackInfo& info) {
    Args args(info);
    const size_t size = args.SizeAt(0, kMaxMappedBytes);
    if (args.ok() && size == 0) args.Fail(0, "more than 0");
    if (!args.ok()) return info.Env().Undefined();
    if (!file_.is_open()) return ToValue(info, Result::Error(kBadDescriptor));
    const Result grown = GrowFile(file_.get(), size);
    if (grown.ok()) size_ = size;
    return ToValue(info, grown);
  }

  // map(): an ArrayBuffer over as many bytes as the last grow() requested; null: this program (Electron) allows no
  // ArrayBuffer over external memory; or a negative error.
  Napi::Value Map(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (!file_.is_open() || size_ == 0) return ToValue(info, Result::Error(kBadDescriptor));
    auto mapping = std::make_unique<MappedMemory>();
    const Result mapped = mapping->Map(file_.get(), size_);
    if (!mapped.ok()) return ToValue(info, mapped);
    const std::span<uint8_t> bytes(mapping->memory(), size_);
    napi_value buffer = nullptr;
    const napi_status made = CreateExternalArrayBuffer(env, bytes, std::move(mapping), &buffer);
    if (made == napi_ok) return {env, buffer};
    return made == napi_no_external_buffers_allowed ? env.Null() : env.Undefined();
  }

  // lock(wait): 1; 0: another holder has it, and `wait` is false; or a negative error. EINVAL: this object holds it.
  Napi::Value Lock(const Napi::CallbackInfo& info) {
    Args args(info);
    const bool wait = args.BooleanAt(0);
    if (!args.ok()) return info.Env().Undefined();
    if (!file_.is_open()) return ToValue(info, Result::Error(kBadDescriptor));
    if (is_locked_) return ToValue(info, Result::Error(kInvalidArgument));
    const Result taken = AcquireFileLock(file_.get(), wait);
    is_locked_ = taken.ok() && taken.value() == 1;
    return ToValue(info, taken);
  }

  // unlock(): 0 or a negative error. EINVAL: this object does not hold it.
  Napi::Value Unlock(const Napi::CallbackInfo& info) { return ToValue(info, ReleaseLock()); }

  // close(): 0 or a negative error.
  Napi::Value Close(const Napi::CallbackInfo& info) { return ToValue(info, CloseAndUnlock()); }

  Result CloseAndUnlock() {
    // close(2) alone does not unlock: the lock belongs to the open file, which a mapping keeps open, and so does a
    // child process of another thread between fork(2) and exec(2).
    if (is_locked_) ReleaseLock().Ignore("closing is all that remains to be done");
    is_locked_ = false;
    size_ = 0;
    return file_.Close();
  }

  Result ReleaseLock() {
    if (!is_locked_) return Result::Error(kInvalidArgument);
    const Result released = ReleaseFileLock(file_.get());
    if (released.ok()) is_locked_ = false;
    return released;
  }

  static Napi::Value ToValue(const Napi::CallbackInfo& info, Result result) {
    return {info.Env(), ToJavaScript(info.Env(), result)};
  }

  UniqueFile file_;
  size_t size_ = 0;
  bool is_locked_ = false;
};

}  // namespace

void RegisterSharedFile(Napi::Env env, Napi::Object exports) {
  exports.Set("SharedFile", SharedFile::Define(env));
  exports.Set("growSyscall", Napi::String::New(env, kGrowSyscall));
}

}  // namespace selectors
