// A file that processes map as shared memory (mmap(2)), with a lock (flock(2), LockFileEx) that ends with its holder.
//
// Two lifetimes: the file is open, and locked, until close(); what is mapped of it stays until JavaScript's ArrayBuffer
// has gone, for nobody can be kept from reading there before.
//
// An ArrayBuffer may lose its memory to another one, which the finalizer knows nothing of: Node refuses to transfer
// those over foreign memory to another thread, but ArrayBuffer.prototype.transfer and a BYOB reader of a stream move it
// within the thread, and what they make may then be posted. That is sound while this environment lives: the finalizer
// comes when the memory's last owner has let go of it. But it also comes when this environment ends, whoever holds the
// memory by then. So what has been moved is left mapped in that case, until the process ends.
#include "shared/shared_file.h"

#include <memory>
#include <string>
#include <utility>

#include "core/args.h"
#include "platform/platform.h"

namespace selectors {
namespace {

// More would not fit into every ArrayBuffer.
constexpr size_t kMostBytes = size_t{1} << 30;

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
  ~UniqueFile() { Close().Ignore("the file is gone whatever close(2) says"); }

  FileHandle get() const { return file_; }
  bool is_open() const { return file_ != kNoFile; }
  // Once only; later calls do nothing.
  Result Close() { return is_open() ? CloseFile(std::exchange(file_, kNoFile)) : Result::Ok(0); }

 private:
  FileHandle file_ = kNoFile;
};

class Mapping {
 public:
  Mapping() = default;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { Unmap(); }

  Result Map(FileHandle file, size_t size) {
    size_ = size;
    return MapFile(file, size, &memory_);
  }
  void Unmap() {
    if (memory_ != nullptr) UnmapFile(std::exchange(memory_, nullptr), size_);
  }
  // It stays mapped.
  void Leave() { memory_ = nullptr; }
  void* memory() const { return memory_; }

 private:
  void* memory_ = nullptr;
  size_t size_ = 0;
};

// What an ArrayBuffer shows.
struct Shown {
  Mapping mapping;
  napi_ref buffer = nullptr;  // weak
  bool is_watched = false;

  // The finalizer: nobody has the memory any more, or the environment ends.
  static void LetGo(napi_env env, void*, void* hint) {
    const std::unique_ptr<Shown> shown(static_cast<Shown*>(hint));
    if (shown->is_watched) napi_remove_env_cleanup_hook(env, OnEnd, hint);
    if (shown->buffer != nullptr) napi_delete_reference(env, shown->buffer);
  }
  // The environment ends, and the finalizer will be next.
  static void OnEnd(void* hint);

  napi_env env = nullptr;
};

void Shown::OnEnd(void* hint) {
  auto* const shown = static_cast<Shown*>(hint);
  shown->is_watched = false;
  napi_handle_scope scope = nullptr;
  napi_value buffer = nullptr;
  bool is_moved = true;
  if (napi_open_handle_scope(shown->env, &scope) == napi_ok) {
    // Gone while the finalizer has not come: moved before, or collected just now, which looks the same.
    if (napi_get_reference_value(shown->env, shown->buffer, &buffer) == napi_ok && buffer != nullptr)
      napi_is_detached_arraybuffer(shown->env, buffer, &is_moved);
    napi_close_handle_scope(shown->env, scope);
  }
  if (is_moved) shown->mapping.Leave();
}

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

 private:
  // open(path): 0 or a negative error. EINVAL: it is open already.
  Napi::Value Open(const Napi::CallbackInfo& info) {
    Args args(info);
    const std::string path = args.StringAt(0);
    if (args.ok() && path.find('\0') != std::string::npos) args.Fail(0, "a path, without a NUL");
    if (!args.ok()) return info.Env().Undefined();
    if (file_.is_open()) return Answer(info, Result::Error(kInvalidArgument));
    const Result opened = OpenFile(path);
    if (!opened.ok()) return Answer(info, opened);
    file_ = UniqueFile(static_cast<FileHandle>(opened.value()));
    return Answer(info, Result::Ok(0));
  }

  // grow(size): 0 or a negative error. The file has at least `size` bytes.
  Napi::Value Grow(const Napi::CallbackInfo& info) {
    Args args(info);
    const size_t size = args.SizeAt(0, kMostBytes);
    if (args.ok() && size == 0) args.Fail(0, "more than 0");
    if (!args.ok()) return info.Env().Undefined();
    if (!file_.is_open()) return Answer(info, Result::Error(kBadDescriptor));
    const Result grown = GrowFile(file_.get(), size);
    if (grown.ok()) size_ = size;
    return Answer(info, grown);
  }

  // map(): an ArrayBuffer that shows the bytes to which it was grown last; null where this program allows none over
  // foreign memory; or a negative error.
  Napi::Value Map(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (!file_.is_open() || size_ == 0) return Answer(info, Result::Error(kBadDescriptor));
    auto shown = std::make_unique<Shown>();
    const Result mapped = shown->mapping.Map(file_.get(), size_);
    if (!mapped.ok()) return Answer(info, mapped);
    shown->env = env;
    napi_value buffer = nullptr;
    const napi_status made =
        napi_create_external_arraybuffer(env, shown->mapping.memory(), size_, Shown::LetGo, shown.get(), &buffer);
    if (made == napi_no_external_buffers_allowed) return env.Null();
    Shown* const kept = shown.release();  // the finalizer's
    if (made != napi_ok) {
      // An exception is pending: the environment is being terminated. Nobody has seen the memory, but whether there is
      // a finalizer that will come is not known: what it would delete is left for it.
      kept->mapping.Unmap();
      return env.Undefined();
    }
    // After the ArrayBuffer was made: hooks are called in the reverse order (napi_add_env_cleanup_hook), and so this
    // one before the finalizer.
    if (napi_create_reference(env, buffer, 0, &kept->buffer) == napi_ok)
      kept->is_watched = napi_add_env_cleanup_hook(env, Shown::OnEnd, kept) == napi_ok;
    return {env, buffer};
  }

  // lock(wait): 1, or 0 where somebody else holds it; or a negative error. EINVAL: this object holds it.
  Napi::Value Lock(const Napi::CallbackInfo& info) {
    Args args(info);
    const bool wait = args.BooleanAt(0);
    if (!args.ok()) return info.Env().Undefined();
    if (!file_.is_open()) return Answer(info, Result::Error(kBadDescriptor));
    if (is_locked_) return Answer(info, Result::Error(kInvalidArgument));
    const Result taken = TakeFileLock(file_.get(), wait);
    is_locked_ = taken.ok() && taken.value() == 1;
    return Answer(info, taken);
  }

  // unlock(): 0 or a negative error. EINVAL: this object does not hold it.
  Napi::Value Unlock(const Napi::CallbackInfo& info) { return Answer(info, Drop()); }

  // close(): 0 or a negative error.
  Napi::Value Close(const Napi::CallbackInfo& info) {
    // close(2) alone lets go of it a moment later, where another thread is between fork(2) and exec(2).
    if (is_locked_) Drop().Ignore("closing lets go of it, too");
    is_locked_ = false;
    size_ = 0;
    return Answer(info, file_.Close());
  }

  Result Drop() {
    if (!is_locked_) return Result::Error(kInvalidArgument);
    const Result dropped = DropFileLock(file_.get());
    if (dropped.ok()) is_locked_ = false;
    return dropped;
  }

  static Napi::Value Answer(const Napi::CallbackInfo& info, Result result) {
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
