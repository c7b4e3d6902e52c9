// io_uring(7): two rings shared with the kernel. Entries of the one say what is to be done, with which memory;
// io_uring_enter submits them and waits; entries of the other say what has been done. The kernel itself receives and
// sends: this is Linux's proactor.
//
// Here is what all operations have in common, from their slot to their end; io_uring_operations.cc prepares each of
// them, io_uring_streams.cc those of a loop. Completions come in the order in which the kernel finishes.
#include "mechanisms/io_uring.h"

#include <cstring>
#include <mutex>

#include "core/syscall.h"
#include "core/wait.h"
#include "mechanisms/mechanisms.h"

namespace selectors::uring {
namespace {

// How long the garbage collector, or the end of a thread, waits for the kernel. Milliseconds.
constexpr double kPatienceAtEnd = 1000;
// How long an entry of a full queue waits until the kernel, short of memory, takes those before it. Milliseconds.
constexpr double kPatienceForEntry = 1000;

// What the kernel has not let go of stays for good. Of all threads.
void Abandon(std::unique_ptr<Operation> operation) {
  static std::mutex mutex;
  static auto* const abandoned = new std::vector<std::unique_ptr<Operation>>;
  const std::lock_guard lock(mutex);
  abandoned->push_back(std::move(operation));
}

}  // namespace

IoUring::~IoUring() { Shut(kPatienceAtEnd); }

// ------------------------------------------------------------------------------------------------------- opening

// open(entries, cqEntries): 0 or a negative error. Once. cqEntries 0: twice the submission queue.
Napi::Value IoUring::Open(const Napi::CallbackInfo& info) {
  Args args(info);
  const auto entries = static_cast<uint32_t>(args.SizeAt(0, UINT32_MAX));
  const auto cq_entries = static_cast<uint32_t>(args.SizeAt(1, UINT32_MAX));
  if (!args.ok()) return info.Env().Undefined();
  const Result opened = ring_.was_opened() ? Result::Error(kInvalidArgument) : ring_.Open(entries, cq_entries);
  return {info.Env(), ToJavaScript(info.Env(), opened.ok() ? Result::Ok(0) : opened)};
}

// about(out): [fd, features, sqEntries, cqEntries] into an Int32Array of four.
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

// supports(opcode): 1, 0, or a negative error.
Napi::Value IoUring::Supports(const Napi::CallbackInfo& info) {
  Args args(info);
  const size_t opcode = args.SizeAt(0, 255);
  if (!args.ok()) return info.Env().Undefined();
  io_uring_probe probe{};
  Result result = ring_.Register(IORING_REGISTER_PROBE, &probe, static_cast<uint32_t>(std::size(probe.ops)));
  if (result.ok()) result = Result::Ok((probe.ops[opcode].flags & IO_URING_OP_SUPPORTED) != 0);
  return {info.Env(), ToJavaScript(info.Env(), result)};
}

// registerEventFd(fd): it becomes readable when there may be completions. The ring's own descriptor does not: with
// IORING_SETUP_DEFER_TASKRUN nothing is completed before somebody enters.
Napi::Value IoUring::RegisterEventFd(const Napi::CallbackInfo& info) {
  Args args(info);
  Fd fd = args.FdAt(0);
  if (!args.ok()) return info.Env().Undefined();
  return {info.Env(), ToJavaScript(info.Env(), ring_.Register(IORING_REGISTER_EVENTFD, &fd, 1))};
}

// ----------------------------------------------------------------------------------------------------- preparing

io_uring_sqe* IoUring::FreeSqe(Result* result) {
  if (!ring_.is_open()) {
    *result = Result::Error(kBadDescriptor);
    return nullptr;
  }
  io_uring_sqe* sqe = ring_.NextSqe();
  // The queue is full: what is in it goes to the kernel (io_uring_get_sqe(3)).
  if (sqe == nullptr && (*result = Drain(kPatienceForEntry)).ok()) sqe = ring_.NextSqe();
  if (sqe == nullptr && result->ok()) *result = Result::Error(EBUSY);
  return sqe;
}

Result IoUring::Drain(double patience) {
  for (int tries = 0;; ++tries) {
    const Result entered = ring_.Enter(0, patience);
    // EBUSY: completions that found no room must be taken first. Once; EAGAIN is for want of memory.
    if (entered.ok() || entered.error() != EBUSY || tries > 0) return entered;
    for (io_uring_cqe cqe; ring_.Pop(&cqe);) backlog_.push_back(cqe);
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
  prepared.sqe = FreeSqe(&prepared.result);
  if (prepared.sqe == nullptr) return prepared;
  if (free_.empty()) {
    free_.push_back(static_cast<uint32_t>(operations_.size()));
    operations_.emplace_back();
    generations_.push_back(0);
  }
  prepared.slot = free_.back();
  free_.pop_back();
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
  *sqe = FreeSqe(&result);
  if (*sqe == nullptr) return result;
  (*sqe)->opcode = opcode;
  (*sqe)->fd = fd;
  (*sqe)->user_data = user_data;
  ++outstanding_;
  return result;
}

// -------------------------------------------------------------------------------------- submitting and collecting

// enter(minComplete, timeout): how many entries were submitted, or a negative error. Without a minimum, the timeout is
// for how long the kernel may want for memory.
Napi::Value IoUring::Enter(const Napi::CallbackInfo& info) {
  Args args(info);
  const auto least = static_cast<uint32_t>(args.SizeAt(0, UINT32_MAX));
  const double timeout = args.TimeoutAt(1);
  if (!args.ok()) return info.Env().Undefined();
  if (!ring_.is_open()) return Napi::Number::New(info.Env(), -kBadDescriptor);
  const size_t taken = backlog_.size() + done_.size();
  const uint32_t missing = taken >= least ? 0 : least - static_cast<uint32_t>(taken);
  return {info.Env(), ToJavaScript(info.Env(), ring_.Enter(missing, timeout))};
}

// woken(): has the descriptor of watchWake() become readable since this was asked last?
Napi::Value IoUring::Woken(const Napi::CallbackInfo& info) {
  const bool woken = woken_;
  woken_ = false;
  return Napi::Boolean::New(info.Env(), woken);
}

// ready(): how many completions there are to be taken.
Napi::Value IoUring::Ready(const Napi::CallbackInfo& info) {
  const size_t in_ring = ring_.is_open() ? ring_.completions() : 0;
  return Napi::Number::New(info.Env(), static_cast<double>(backlog_.size() + done_.size() + in_ring));
}

bool IoUring::NextCompletion(io_uring_cqe* cqe) {
  if (backlog_.empty()) return ring_.Pop(cqe);
  *cqe = backlog_.front();
  backlog_.pop_front();
  return true;
}

std::unique_ptr<Operation> IoUring::Remove(uint64_t user_data) {
  const uint32_t slot = LowOf(user_data);
  if (slot >= operations_.size() || operations_[slot] == nullptr || generations_[slot] != GenerationOf(user_data))
    return nullptr;
  std::unique_ptr<Operation> operation = std::move(operations_[slot]);
  generations_[slot] = (generations_[slot] + 1) & kGenerationMask;
  free_.push_back(slot);
  if (operation->purpose != Purpose::kCallers) {
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

// Is it about a stream of a loop's?
bool IoUring::IsForTurn(const io_uring_cqe& cqe) const {
  const Tag tag = TagOf(cqe.user_data);
  if (tag != Tag::kOperation) return tag == Tag::kReceive || tag == Tag::kAccept;
  const uint32_t slot = LowOf(cqe.user_data);
  return slot < operations_.size() && operations_[slot] != nullptr && operations_[slot]->purpose != Purpose::kCallers;
}

// A completion that belongs to an operation. Those of this file complete once.
void IoUring::Take(const io_uring_cqe& cqe) {
  if ((cqe.flags & IORING_CQE_F_MORE) == 0) --outstanding_;
  if (TagOf(cqe.user_data) == Tag::kWake) {
    woken_ = true;
    if ((cqe.flags & IORING_CQE_F_MORE) == 0) wake_is_lost_ = !WatchWakeAgain().ok();
  }
  if (TagOf(cqe.user_data) != Tag::kOperation) return;
  std::unique_ptr<Operation> operation = Remove(cqe.user_data);
  if (operation == nullptr) return;
  done_.push_back({std::move(operation), cqe.res, cqe.flags});
}

// completions(max): [userData, res, flags, bytes, sockaddr], the last two where there are any.
Napi::Value IoUring::Completions(const Napi::CallbackInfo& info) {
  Args args(info);
  const size_t most = args.SizeAt(0, UINT32_MAX);
  if (!args.ok()) return info.Env().Undefined();
  if (ring_.is_open()) {
    RestoreWake();
    for (io_uring_cqe cqe; done_.size() < most && NextCompletion(&cqe);) {
      if (IsForTurn(cqe)) {
        for_turn_.push_back(cqe);
      } else {
        Take(cqe);
      }
    }
  }
  const Napi::Array list = Napi::Array::New(info.Env());
  for (uint32_t i = 0; i < most && !done_.empty(); ++i) {
    Done done = std::move(done_.front());
    done_.pop_front();  // first: an accessor of somebody's on Array.prototype may close the ring
    list.Set(i, ToDone(info.Env(), std::move(done)));
  }
  return list;
}

Napi::Value IoUring::ToDone(Napi::Env env, Done done) {
  const Operation& operation = *done.operation;
  const Napi::Array entry = Napi::Array::New(env);
  entry.Set(0U, Napi::Number::New(env, operation.user_data));
  entry.Set(1U, Napi::Number::New(env, done.res));
  entry.Set(2U, Napi::Number::New(env, done.flags));
  if (operation.opcode == IORING_OP_ACCEPT && done.res >= 0) UnclaimedFds::Add(env, done.res);
  const bool receives =
      operation.opcode == IORING_OP_RECV || operation.opcode == IORING_OP_RECVMSG || operation.opcode == IORING_OP_READ;
  if (!receives || done.res < 0) return entry;
  const size_t received = std::min(static_cast<size_t>(done.res), operation.size);
  const uint8_t* const bytes = operation.memory.get();
  if (operation.target.IsEmpty()) {
    entry.Set(3U, Napi::Buffer<uint8_t>::Copy(env, bytes, received));
  } else {
    // As large as it is now: it may have lost its memory.
    const auto target = operation.target.Value().As<Napi::Uint8Array>();
    void* data = nullptr;
    size_t length = 0;
    const bool is_there = napi_get_typedarray_info(env, target, nullptr, &length, &data, nullptr, nullptr) == napi_ok;
    if (is_there && data != nullptr && received > 0) std::memcpy(data, bytes, std::min(length, received));
  }
  if (operation.opcode == IORING_OP_RECVMSG) {
    const size_t length = std::min<size_t>(operation.message.msg_namelen, sizeof operation.address);
    const auto* const address = reinterpret_cast<const uint8_t*>(&operation.address);
    entry.Set(4U, Napi::Buffer<uint8_t>::Copy(env, address, length));
  }
  return entry;
}

// ------------------------------------------------------------------------------------------------------- the end

// Takes what the kernel has let go of. An accepted connection is closed: it is too late for anybody to know of it.
void IoUring::TakeAtEnd() {
  for (io_uring_cqe cqe; NextForTurn(&cqe);) {
    if ((cqe.flags & IORING_CQE_F_MORE) == 0) --outstanding_;
    const Tag tag = TagOf(cqe.user_data);
    const std::unique_ptr<Operation> operation = tag == Tag::kOperation ? Remove(cqe.user_data) : nullptr;
    const bool is_accept = tag == Tag::kAccept || (operation != nullptr && operation->opcode == IORING_OP_ACCEPT);
    if (is_accept && cqe.res >= 0) CloseFd(cqe.res).Ignore("the connection is given up");
  }
}

void IoUring::CancelAll() {
  io_uring_sqe* const sqe = ring_.NextSqe();
  if (sqe == nullptr) return;
  sqe->opcode = IORING_OP_ASYNC_CANCEL;
  sqe->fd = -1;
  sqe->op_flags = IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY;
  sqe->user_data = UserData(Tag::kIgnored, 0, 0);
  ++outstanding_;
}

uint32_t IoUring::Shut(double patience) {
  if (!ring_.is_open()) return 0;
  for (const io_uring_cqe& cqe : deferred_) {
    if ((cqe.flags & IORING_CQE_F_MORE) == 0) --outstanding_;
  }
  deferred_.clear();
  // What a loop has prepared are cancels: each by its name, where "any" makes the kernel look through all for each.
  // As long as something comes: the completion queue may be too small for all at once.
  for (uint32_t before = 0; buffers_ != nullptr && before != outstanding_;) {
    before = outstanding_;
    Drain().Ignore("what is left is cancelled below");
    TakeAtEnd();
  }
  // What else was never submitted is forgotten.
  const uint32_t unsubmitted = ring_.unsubmitted();
  ring_.TakeBack(unsubmitted);
  outstanding_ -= std::min(outstanding_, unsubmitted);
  if (outstanding_ > 0) CancelAll();
  const double deadline = MonotonicMilliseconds() + patience;
  while (outstanding_ > 0) {
    const double left = deadline - MonotonicMilliseconds();
    const Result entered = ring_.Enter(left > 0 ? 1 : 0, std::min(std::max(left, 0.0), 100.0));
    TakeAtEnd();
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
  for (const Done& done : done_) {
    if (done.operation->opcode == IORING_OP_ACCEPT && done.res >= 0)
      CloseFd(done.res).Ignore("nobody has asked for the connection");
  }
  operations_.clear();
  by_user_data_.clear();
  by_stream_.clear();
  done_.clear();
  ring_.Close();
  // Behind the ring, which has them registered.
  if (buffers_ != nullptr && outstanding_ == 0) buffers_->Close();
  return outstanding_;
}

// close(patience): cancels everything, and waits so many milliseconds until the kernel has let go. How much it has not
// let go of: that memory is never freed.
Napi::Value IoUring::Close(const Napi::CallbackInfo& info) {
  Args args(info);
  const double patience = args.TimeoutAt(0);
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), Shut(patience));
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
