// io_uring(7), Linux's proactor interface: two rings in memory shared with the kernel. The program writes entries into
// the submission queue: an operation and its memory. io_uring_enter(2) submits them and waits; the kernel does the I/O
// and writes the results into the completion queue.
//
// Here: opening a ring, submitting, completions, closing, and the slots of the operations. io_uring.h lists the other
// files.
//
// Limits: Linux 5.11 or later, and seccomp or the sysctl kernel.io_uring_disabled may forbid it. Completions arrive in
// the order in which the kernel finishes the operations, not in the order of submission.
#include "mechanisms/io_uring.h"

#include <cstring>
#include <mutex>

#include "core/syscall.h"
#include "core/wait.h"
#include "mechanisms/mechanisms.h"

namespace selectors::uring {
namespace {

// Milliseconds that the finalizer and the end of a thread wait for cancelled operations.
constexpr double kCloseTimeout = 1000;
// Milliseconds that a full queue retries while the kernel is out of memory (EAGAIN).
constexpr double kSubmitTimeout = 1000;

// Never frees the operation: the kernel may still write to its memory. Any thread may call it.
void Abandon(std::unique_ptr<Operation> operation) {
  static std::mutex mutex;
  static auto* const abandoned = new std::vector<std::unique_ptr<Operation>>;
  const std::lock_guard lock(mutex);
  abandoned->push_back(std::move(operation));
}

}  // namespace

IoUring::~IoUring() { CancelAndClose(kCloseTimeout); }

// ------------------------------------------------------------------------------------------------------- opening

// open(entries, cqEntries): returns 0 or a negative error; EINVAL if it was opened before. cqEntries 0: twice the
// entries of the submission queue.
Napi::Value IoUring::Open(const Napi::CallbackInfo& info) {
  Args args(info);
  const auto entries = static_cast<uint32_t>(args.SizeAt(0, UINT32_MAX));
  const auto cq_entries = static_cast<uint32_t>(args.SizeAt(1, UINT32_MAX));
  if (!args.ok()) return info.Env().Undefined();
  const Result opened = ring_.was_opened() ? Result::Error(kInvalidArgument) : ring_.Open(entries, cq_entries);
  return {info.Env(), ToJavaScript(info.Env(), opened.ok() ? Result::Ok(0) : opened)};
}

// about(out): writes [fd, features, sqEntries, cqEntries] into an Int32Array of four.
Napi::Value IoUring::About(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::span<int32_t> out = args.IntsAt(0);
  if (args.ok() && out.size() < 4) args.Fail(0, "an Int32Array of four");
  if (!args.ok()) return info.Env().Undefined();
  out[0] = ring_.fd();
  out[1] = static_cast<int32_t>(ring_.features());
  out[2] = static_cast<int32_t>(ring_.sq_entries());
  out[3] = static_cast<int32_t>(ring_.cq_entries());
  return info.Env().Undefined();
}

// supports(opcode): returns 1, 0, or a negative error.
Napi::Value IoUring::Supports(const Napi::CallbackInfo& info) {
  Args args(info);
  const size_t opcode = args.SizeAt(0, 255);
  if (!args.ok()) return info.Env().Undefined();
  io_uring_probe probe{};
  Result result = ring_.Register(IORING_REGISTER_PROBE, &probe, static_cast<uint32_t>(std::size(probe.ops)));
  if (result.ok()) result = Result::Ok((probe.ops[opcode].flags & IO_URING_OP_SUPPORTED) != 0);
  return {info.Env(), ToJavaScript(info.Env(), result)};
}

// registerEventFd(fd): the eventfd becomes readable when there may be completions. The ring's own descriptor does not:
// with IORING_SETUP_DEFER_TASKRUN, operations complete only inside io_uring_enter(2).
Napi::Value IoUring::RegisterEventFd(const Napi::CallbackInfo& info) {
  Args args(info);
  Fd fd = args.FdAt(0);
  if (!args.ok()) return info.Env().Undefined();
  return {info.Env(), ToJavaScript(info.Env(), ring_.Register(IORING_REGISTER_EVENTFD, &fd, 1))};
}

// ----------------------------------------------------------------------------------------------------- preparing

io_uring_sqe* IoUring::GetSqe(Result* result) {
  if (!ring_.is_open()) {
    *result = Result::Error(kBadDescriptor);
    return nullptr;
  }
  io_uring_sqe* sqe = ring_.GetSqe();
  // The queue is full: submit it (io_uring_get_sqe(3)).
  if (sqe == nullptr && (*result = SubmitAll(kSubmitTimeout)).ok()) sqe = ring_.GetSqe();
  if (sqe == nullptr && result->ok()) *result = Result::Error(EBUSY);
  return sqe;
}

Result IoUring::SubmitAll(double timeout) {
  for (int tries = 0;; ++tries) {
    const Result entered = ring_.Enter(0, timeout);
    // EBUSY: the completion queue has overflowed, and its completions must be taken first. One retry; EAGAIN means out
    // of memory.
    if (entered.ok() || entered.error() != EBUSY || tries > 0) return entered;
    for (io_uring_cqe cqe; ring_.Pop(&cqe);) taken_cqes_.push_back(cqe);
  }
}

IoUring::Prepared IoUring::PrepareOperation(uint8_t opcode, Fd fd, size_t memory) {
  Prepared prepared;
  auto operation = std::make_unique<Operation>();
  operation->opcode = opcode;
  operation->size = memory;
  if (memory > 0) operation->memory = AllocateMemory(memory);
  if (memory > 0 && operation->memory == nullptr) {
    prepared.result = Result::Error(kNoMemory);
    return prepared;
  }
  prepared.sqe = GetSqe(&prepared.result);
  if (prepared.sqe == nullptr) return prepared;
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<uint32_t>(operations_.size()));
    operations_.emplace_back();
    generations_.push_back(0);
  }
  prepared.slot = free_slots_.back();
  free_slots_.pop_back();
  prepared.operation = operation.get();
  operations_[prepared.slot] = std::move(operation);
  prepared.sqe->opcode = opcode;
  prepared.sqe->fd = fd;
  prepared.sqe->user_data = UserData(Tag::kOperation, generations_[prepared.slot], prepared.slot);
  ++outstanding_;
  return prepared;
}

IoUring::Prepared IoUring::Prepare(uint8_t opcode, Fd fd, double user_data, size_t memory) {
  const Prepared prepared = PrepareOperation(opcode, fd, memory);
  if (prepared.operation == nullptr) return prepared;
  prepared.operation->user_data = user_data;
  by_user_data_.emplace(user_data, prepared.slot);
  return prepared;
}

Result IoUring::PrepareTagged(uint8_t opcode, Fd fd, uint64_t user_data, io_uring_sqe** sqe) {
  Result result = Result::Ok(0);
  *sqe = GetSqe(&result);
  if (*sqe == nullptr) return result;
  (*sqe)->opcode = opcode;
  (*sqe)->fd = fd;
  (*sqe)->user_data = user_data;
  ++outstanding_;
  return result;
}

// -------------------------------------------------------------------------------------- submitting and collecting

// enter(minComplete, timeout): submits the queue and waits for `minComplete` completions. Returns the number of
// submitted entries, or a negative error. minComplete 0: the timeout bounds the retries while the kernel is out of
// memory.
Napi::Value IoUring::Enter(const Napi::CallbackInfo& info) {
  Args args(info);
  const auto min_complete = static_cast<uint32_t>(args.SizeAt(0, UINT32_MAX));
  const double timeout = args.TimeoutAt(1);
  if (!args.ok()) return info.Env().Undefined();
  if (!ring_.is_open()) return Napi::Number::New(info.Env(), -kBadDescriptor);
  const size_t taken = taken_cqes_.size() + finished_.size();
  const uint32_t missing = taken >= min_complete ? 0 : min_complete - static_cast<uint32_t>(taken);
  return {info.Env(), ToJavaScript(info.Env(), ring_.Enter(missing, timeout))};
}

// woken(): true if the descriptor of watchWake() has become readable since the last call.
Napi::Value IoUring::Woken(const Napi::CallbackInfo& info) {
  const bool woken = woken_;
  woken_ = false;
  return Napi::Boolean::New(info.Env(), woken);
}

// ready(): the number of completions that are ready.
Napi::Value IoUring::Ready(const Napi::CallbackInfo& info) {
  const size_t in_ring = ring_.is_open() ? ring_.completions() : 0;
  return Napi::Number::New(info.Env(), static_cast<double>(taken_cqes_.size() + finished_.size() + in_ring));
}

bool IoUring::NextCompletion(io_uring_cqe* cqe) {
  if (taken_cqes_.empty()) return ring_.Pop(cqe);
  *cqe = taken_cqes_.front();
  taken_cqes_.pop_front();
  return true;
}

std::unique_ptr<Operation> IoUring::RemoveOperation(uint64_t user_data) {
  const uint32_t slot = LowOf(user_data);
  if (slot >= operations_.size() || operations_[slot] == nullptr || generations_[slot] != GenerationOf(user_data))
    return nullptr;
  std::unique_ptr<Operation> operation = std::move(operations_[slot]);
  generations_[slot] = (generations_[slot] + 1) & kGenerationMask;
  free_slots_.push_back(slot);
  if (operation->purpose != Purpose::kCaller) {
    by_stream_.erase(StreamKey(operation->stream, operation->stream_generation));
    return operation;
  }
  const auto [first, last] = by_user_data_.equal_range(operation->user_data);
  for (auto it = first; it != last; ++it) {
    if (it->second != slot) continue;
    by_user_data_.erase(it);
    break;
  }
  return operation;
}

// True for a completion of a loop's stream.
bool IoUring::IsForTurn(const io_uring_cqe& cqe) const {
  const Tag tag = TagOf(cqe.user_data);
  if (tag != Tag::kOperation) return tag == Tag::kReceive || tag == Tag::kAccept;
  const uint32_t slot = LowOf(cqe.user_data);
  return slot < operations_.size() && operations_[slot] != nullptr && operations_[slot]->purpose != Purpose::kCaller;
}

void IoUring::HandleCompletion(const io_uring_cqe& cqe) {
  if ((cqe.flags & IORING_CQE_F_MORE) == 0) --outstanding_;
  if (TagOf(cqe.user_data) == Tag::kWake) {
    woken_ = true;
    if ((cqe.flags & IORING_CQE_F_MORE) == 0) needs_wake_poll_ = !StartWakePoll().ok();
  }
  if (TagOf(cqe.user_data) != Tag::kOperation) return;
  std::unique_ptr<Operation> operation = RemoveOperation(cqe.user_data);
  if (operation == nullptr) return;
  finished_.push_back({std::move(operation), cqe.res, cqe.flags});
}

// completions(max): returns an array of [userData, res, flags, bytes, sockaddr], at most `max`. bytes: only if received
// into a new Buffer; sockaddr: only of recvmsg.
Napi::Value IoUring::Completions(const Napi::CallbackInfo& info) {
  Args args(info);
  const size_t max = args.SizeAt(0, UINT32_MAX);
  if (!args.ok()) return info.Env().Undefined();
  if (ring_.is_open()) {
    RestartWakePoll();
    for (io_uring_cqe cqe; finished_.size() < max && NextCompletion(&cqe);) {
      if (IsForTurn(cqe)) {
        turn_cqes_.push_back(cqe);
      } else {
        HandleCompletion(cqe);
      }
    }
  }
  const Napi::Array list = Napi::Array::New(info.Env());
  for (uint32_t i = 0; i < max && !finished_.empty(); ++i) {
    FinishedOperation finished = std::move(finished_.front());
    finished_.pop_front();  // before list.Set: a setter on Array.prototype may close the ring
    list.Set(i, ToJavaScriptCompletion(info.Env(), std::move(finished)));
  }
  return list;
}

Napi::Value IoUring::ToJavaScriptCompletion(Napi::Env env, FinishedOperation finished) {
  const Operation& operation = *finished.operation;
  const Napi::Array entry = Napi::Array::New(env);
  entry.Set(0U, Napi::Number::New(env, operation.user_data));
  entry.Set(1U, Napi::Number::New(env, finished.res));
  entry.Set(2U, Napi::Number::New(env, finished.flags));
  if (operation.opcode == IORING_OP_ACCEPT && finished.res >= 0) UnclaimedFds::Add(env, finished.res);
  const bool receives =
      operation.opcode == IORING_OP_RECV || operation.opcode == IORING_OP_RECVMSG || operation.opcode == IORING_OP_READ;
  if (!receives || finished.res < 0) return entry;
  const size_t received = std::min(static_cast<size_t>(finished.res), operation.size);
  const uint8_t* const bytes = operation.memory.get();
  if (operation.target.IsEmpty()) {
    entry.Set(3U, Napi::Buffer<uint8_t>::Copy(env, bytes, received));
  } else {
    // The present length: the array may have been detached or resized.
    const auto target = operation.target.Value().As<Napi::Uint8Array>();
    void* data = nullptr;
    size_t length = 0;
    const bool is_attached =
        napi_get_typedarray_info(env, target, nullptr, &length, &data, nullptr, nullptr) == napi_ok;
    if (is_attached && data != nullptr && received > 0) std::memcpy(data, bytes, std::min(length, received));
  }
  if (operation.opcode == IORING_OP_RECVMSG) {
    const size_t length = std::min<size_t>(operation.message.msg_namelen, sizeof operation.address);
    const auto* const address = reinterpret_cast<const uint8_t*>(&operation.address);
    entry.Set(4U, Napi::Buffer<uint8_t>::Copy(env, address, length));
  }
  return entry;
}

// -------------------------------------------------------------------------------------------------------- closing

// Takes all completions and drops them. Accepted connections are closed: JavaScript never sees them.
void IoUring::DropCompletions() {
  for (io_uring_cqe cqe; NextForTurn(&cqe);) {
    if ((cqe.flags & IORING_CQE_F_MORE) == 0) --outstanding_;
    const Tag tag = TagOf(cqe.user_data);
    const std::unique_ptr<Operation> operation = tag == Tag::kOperation ? RemoveOperation(cqe.user_data) : nullptr;
    const bool is_accept = tag == Tag::kAccept || (operation != nullptr && operation->opcode == IORING_OP_ACCEPT);
    if (is_accept && cqe.res >= 0) CloseFd(cqe.res).Ignore("the connection is dropped");
  }
}

void IoUring::CancelAll() {
  io_uring_sqe* const sqe = ring_.GetSqe();
  if (sqe == nullptr) return;
  sqe->opcode = IORING_OP_ASYNC_CANCEL;
  sqe->fd = -1;
  sqe->op_flags = IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY;
  sqe->user_data = UserData(Tag::kIgnored, 0, 0);
  ++outstanding_;
}

uint32_t IoUring::CancelAndClose(double timeout) {
  if (!ring_.is_open()) return 0;
  for (const io_uring_cqe& cqe : deferred_receives_) {
    if ((cqe.flags & IORING_CQE_F_MORE) == 0) --outstanding_;
  }
  deferred_receives_.clear();
  // The unsubmitted entries of a loop are cancels, each of one operation. They are cheaper than CancelAll below, with
  // which the kernel scans all operations for each one that it cancels. Repeated while completions arrive: the
  // completion queue may be too small for all of them at once.
  for (uint32_t before = 0; buffers_ != nullptr && before != outstanding_;) {
    before = outstanding_;
    SubmitAll().Ignore("CancelAll cancels the rest");
    DropCompletions();
  }
  // Other unsubmitted entries are dropped.
  const uint32_t unsubmitted = ring_.unsubmitted();
  ring_.RemoveLast(unsubmitted);
  outstanding_ -= std::min(outstanding_, unsubmitted);
  if (outstanding_ > 0) CancelAll();
  const double deadline = MonotonicMilliseconds() + timeout;
  while (outstanding_ > 0) {
    const double left = deadline - MonotonicMilliseconds();
    const Result entered = ring_.Enter(left > 0 ? 1 : 0, std::min(std::max(left, 0.0), 100.0));
    DropCompletions();
    if (left <= 0 || (!entered.ok() && entered.error() != EBUSY)) break;
  }
  outstanding_ -= std::min(outstanding_, ring_.unsubmitted());
  if (outstanding_ > 0) {
    for (std::unique_ptr<Operation>& operation : operations_) {
      if (operation == nullptr) continue;
      operation->target.Reset();
      Abandon(std::move(operation));
    }
    if (buffers_ != nullptr) buffers_->Abandon();
  }
  for (const FinishedOperation& finished : finished_) {
    if (finished.operation->opcode == IORING_OP_ACCEPT && finished.res >= 0)
      CloseFd(finished.res).Ignore("JavaScript has not taken the connection");
  }
  operations_.clear();
  by_user_data_.clear();
  by_stream_.clear();
  finished_.clear();
  ring_.Close();
  // After the ring, where they are registered.
  if (buffers_ != nullptr && outstanding_ == 0) buffers_->Close();
  return outstanding_;
}

// close(timeout): cancels all operations, waits at most `timeout` milliseconds for them, and closes the ring. Returns
// the number of entries that have not completed; their memory is never freed.
Napi::Value IoUring::Close(const Napi::CallbackInfo& info) {
  Args args(info);
  const double timeout = args.TimeoutAt(0);
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), CancelAndClose(timeout));
}

Napi::Function IoUring::Define(Napi::Env env) {
  return DefineClass(env, "IoUring",
                     {InstanceMethod<&IoUring::Open>("open"),
                      InstanceMethod<&IoUring::About>("about"),
                      InstanceMethod<&IoUring::Supports>("supports"),
                      InstanceMethod<&IoUring::RegisterEventFd>("registerEventFd"),
                      InstanceMethod<&IoUring::Nop>("nop"),
                      InstanceMethod<&IoUring::Accept>("accept"),
                      InstanceMethod<&IoUring::Connect>("connect"),
                      InstanceMethod<&IoUring::Recv>("recv"),
                      InstanceMethod<&IoUring::Send>("send"),
                      InstanceMethod<&IoUring::RecvMsg>("recvmsg"),
                      InstanceMethod<&IoUring::SendMsg>("sendmsg"),
                      InstanceMethod<&IoUring::Read>("read"),
                      InstanceMethod<&IoUring::Write>("write"),
                      InstanceMethod<&IoUring::PollAdd>("pollAdd"),
                      InstanceMethod<&IoUring::Timeout>("timeout"),
                      InstanceMethod<&IoUring::Cancel>("cancel"),
                      InstanceMethod<&IoUring::Enter>("enter"),
                      InstanceMethod<&IoUring::Ready>("ready"),
                      InstanceMethod<&IoUring::Woken>("woken"),
                      InstanceMethod<&IoUring::Completions>("completions"),
                      InstanceMethod<&IoUring::Close>("close"),
                      InstanceMethod<&IoUring::OpenStreams>("openStreams"),
                      InstanceMethod<&IoUring::WatchWake>("watchWake"),
                      InstanceMethod<&IoUring::AcceptStream>("acceptStream"),
                      InstanceMethod<&IoUring::ConnectStream>("connectStream"),
                      InstanceMethod<&IoUring::ReceiveStream>("receiveStream"),
                      InstanceMethod<&IoUring::SendStream>("sendStream"),
                      InstanceMethod<&IoUring::CancelStream>("cancelStream"),
                      InstanceMethod<&IoUring::PeerOf>("peerOf"),
                      InstanceMethod<&IoUring::CopyOfBuffer>("copyOfBuffer"),
                      InstanceMethod<&IoUring::Flush>("flush"),
                      InstanceMethod<&IoUring::Turn>("turn")});
}

}  // namespace selectors::uring

namespace selectors {

void RegisterIoUring(Napi::Env env, Napi::Object exports) {
  exports.Set("IoUring", uring::IoUring::Define(env));
  uring::ExportStreamNumbers(env, exports);
}

}  // namespace selectors
