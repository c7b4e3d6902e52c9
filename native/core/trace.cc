#include "core/trace.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>

#include "platform/platform.h"

namespace selectors {

// ------------------------------------------------------------------------------------------------------------ printers

namespace print {

void AppendDecimal(std::string& out, int64_t value) { out += std::to_string(value); }
void AppendUnsigned(std::string& out, uint64_t value) { out += std::to_string(value); }

void AppendHexadecimal(std::string& out, uint64_t value) {
  char text[2 + 16 + 1];
  static_cast<void>(std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value)));
  out += value == 0 ? "0" : text;
}

void AppendAddress(std::string& out, const void* address) {
  if (address == nullptr) {
    out += "NULL";
  } else {
    AppendHexadecimal(out, reinterpret_cast<uintptr_t>(address));
  }
}

void Decimal(std::string& out, const CallInfo& call, size_t index) { AppendDecimal(out, call.As<int64_t>(index)); }
void Unsigned(std::string& out, const CallInfo& call, size_t index) { AppendUnsigned(out, call.As<uint64_t>(index)); }
void Hexadecimal(std::string& out, const CallInfo& call, size_t index) {
  AppendHexadecimal(out, call.As<uint64_t>(index));
}
void Octal(std::string& out, const CallInfo& call, size_t index) {
  char text[1 + 22 + 1];
  static_cast<void>(
      std::snprintf(text, sizeof text, "0%llo", static_cast<unsigned long long>(call.As<uint64_t>(index))));
  out += text;
}
void Pointer(std::string& out, const CallInfo& call, size_t index) { AppendAddress(out, call.As<const void*>(index)); }
void Null(std::string& out, const CallInfo&, size_t) { out += "NULL"; }
void Zero(std::string& out, const CallInfo&, size_t) { out += '0'; }

void AppendBytes(std::string& out, const void* bytes, size_t size) {
  const auto* const data = static_cast<const unsigned char*>(bytes);
  if (data == nullptr) return void(out += "NULL");
  const size_t shown = std::min(size, kMaxShown);
  out += '"';
  for (size_t i = 0; i < shown; ++i) {
    const unsigned char byte = data[i];
    constexpr const char* kEscaped = "\"\\\f\n\r\t\v";
    if (byte != 0 && std::strchr(kEscaped, byte) != nullptr) {
      out += '\\';
      out += "\"\\fnrtv"[std::strchr(kEscaped, byte) - kEscaped];
    } else if (byte >= ' ' && byte <= '~') {
      out += static_cast<char>(byte);
    } else {
      // As few digits as possible, as strace does: all three only if the next byte is a digit.
      const bool before_digit = i + 1 < shown && data[i + 1] >= '0' && data[i + 1] <= '9';
      char text[5];
      static_cast<void>(std::snprintf(text, sizeof text, before_digit ? "\\%03o" : "\\%o", byte));
      out += text;
    }
  }
  out += size > shown ? "\"..." : "\"";
}

void Sent(std::string& out, const CallInfo& call, size_t index) {
  AppendBytes(out, call.As<const void*>(index), call.As<size_t>(index + 1));
}
void Received(std::string& out, const CallInfo& call, size_t index) {
  if (call.ok) {
    // With MSG_TRUNC the kernel returns the length of the whole message, which may exceed the buffer.
    const auto size = call.As<size_t>(index + 1);
    AppendBytes(out, call.As<const void*>(index), std::min(static_cast<size_t>(call.result), size));
  } else {
    Pointer(out, call, index);
  }
}
void Path(std::string& out, const CallInfo& call, size_t index) {
  const auto* const path = call.As<const char*>(index);
  out += '"';
  out += path;
  out += '"';
}

namespace {

void AppendUnknown(std::string& out, uint64_t value, const char* unknown) {
  AppendHexadecimal(out, value);
  if (unknown != nullptr) out.append(" /* ").append(unknown).append(" */");
}

}  // namespace

void AppendName(std::string& out, std::span<const Name> names, int64_t value, const char* unknown) {
  const auto found =
      std::find_if(names.begin(), names.end(), [value](const Name& name) { return name.value == value; });
  if (found != names.end()) {
    out += found->name;
  } else {
    AppendUnknown(out, static_cast<uint64_t>(value), unknown);
  }
}

void AppendFlags(std::string& out, std::span<const Name> names, uint64_t value, const char* unknown) {
  if (value == 0) return void(out += '0');
  const char* separator = "";
  for (const auto& [flag, name] : names) {
    const auto bits = static_cast<uint64_t>(flag);
    if (bits == 0 || (value & bits) != bits) continue;
    out.append(separator).append(name);
    separator = "|";
    value &= ~bits;
  }
  if (value == 0) return;
  out += separator;
  AppendUnknown(out, value, *separator == '\0' ? unknown : nullptr);
}

}  // namespace print

// ----------------------------------------------------------------------------------------------------------- recording

std::atomic<int> instrument_count{0};

namespace {

thread_local Recorder* current_recorder = nullptr;
thread_local bool is_in_probe = false;
thread_local int32_t* slice_cell = nullptr;

TraceHeader* HeaderOf(uint8_t* memory) { return reinterpret_cast<TraceHeader*>(memory); }

// Appends at most max_size bytes of `part`, as many as fit, and returns how many.
size_t Append(char* text, size_t used, std::string_view part, size_t max_size) {
  const size_t size = std::min({part.size(), TraceRecord::kMaxText - used, max_size});
  std::memcpy(text + used, part.data(), size);
  return size;
}

}  // namespace

std::shared_ptr<Recorder> Recorder::OfCurrentThread() {
  return current_recorder == nullptr ? nullptr : current_recorder->shared_from_this();
}

RecorderScope::RecorderScope(std::shared_ptr<Recorder> recorder) : recorder_(std::move(recorder)) {
  if (current_recorder == nullptr) current_recorder = recorder_.get();
}
RecorderScope::~RecorderScope() {
  if (current_recorder == recorder_.get()) current_recorder = nullptr;
}

void SetProbing(bool is_probing) { is_in_probe = is_probing; }
void SetSliceCell(int32_t* cell) { slice_cell = cell; }

namespace {

// Whether the call that has returned was a slice. A wait that a signal interrupts is made again: that one is it, too.
bool TakeSlice(const SystemCall& call, const CallInfo& info, int error) {
  // The cell is read for waits alone: while the environment is torn down, calls are made that are none.
  if (call.wait_argument < 0 || slice_cell == nullptr || *slice_cell == 0) return false;
  if (info.arguments[static_cast<size_t>(call.wait_argument)] == 0) return false;
  if (error != kInterrupted) *slice_cell = 0;
  return true;
}

}  // namespace

// Claims a slot. False: none is free.
bool Recorder::Claim(const Ring& ring, Slot* slot) {
  TraceHeader& header = *HeaderOf(ring.data);
  uint32_t sequence = header.tail.load();
  do {
    if (sequence - header.head.load() >= ring.capacity) {
      header.dropped.fetch_add(1);
      return false;
    }
  } while (!header.tail.compare_exchange_weak(sequence, sequence + 1));
  auto* const records = reinterpret_cast<TraceRecord*>(ring.data + sizeof(TraceHeader));
  TraceRecord* const record = records + (sequence & (ring.capacity - 1));
  *slot = {record, sequence, record->ready.load()};
  // In an abandoned slot the former writer may still store. The reader sees that too, and counts this record as
  // dropped.
  return slot->ready != TraceRecord::kAbandoned;
}

Recorder::~Recorder() {
  RemoveIf([](const Ring&) { return true; });
}

uint64_t Recorder::Add(std::span<uint8_t> memory) {
  if (memory.size() < sizeof(TraceHeader) || reinterpret_cast<uintptr_t>(memory.data()) % alignof(TraceRecord) != 0)
    return 0;
  const TraceHeader& header = *HeaderOf(memory.data());
  const uint32_t capacity = header.capacity;
  if (header.magic != TraceHeader::kMagic || !std::has_single_bit(capacity)) return 0;
  if ((memory.size() - sizeof(TraceHeader)) / sizeof(TraceRecord) < capacity) return 0;
  const std::lock_guard lock(mutex_);
  rings_.push_back({++last_id_, memory.data(), capacity, header.calls_only != 0});
  ++instrument_count;
  return last_id_;
}

bool Recorder::Has(const uint8_t* memory) {
  const std::lock_guard lock(mutex_);
  return std::any_of(rings_.begin(), rings_.end(), [memory](const Ring& one) { return one.data == memory; });
}

void Recorder::Remove(uint64_t id) {
  const std::lock_guard lock(mutex_);
  RemoveIf([id](const Ring& ring) { return ring.id == id; });
}

template <typename Predicate>
void Recorder::RemoveIf(Predicate is_removed) {
  instrument_count -= static_cast<int>(std::erase_if(rings_, is_removed));
}

bool Recorder::IsRecording() {
  const std::lock_guard lock(mutex_);
  return !rings_.empty();
}

bool Recorder::RecordsOperations() {
  if (current_recorder == nullptr) return false;
  const std::lock_guard lock(current_recorder->mutex_);
  const auto& rings = current_recorder->rings_;
  return std::any_of(rings.begin(), rings.end(), [](const Ring& ring) { return !ring.calls_only; });
}

void Recorder::RecordOperation(const OperationRecord& operation) {
  if (current_recorder == nullptr) return;
  const double now = MonotonicMilliseconds();
  current_recorder->Write({operation.kind, operation.name, operation.arguments, operation.flags, operation.result,
                           operation.error, operation.fault, now, now});
}

void Recorder::Record(const SystemCall& call, const CallInfo& info, int error, Fault::Kind fault, double start,
                      double end, const std::string& arguments, bool is_slice) {
  std::string returned;
  if (info.ok && call.returned != nullptr) call.returned(returned, info, 0);
  Write({RecordKind::kCall, call.name, arguments, returned, info.result, error, fault, start, end, is_slice});
}

void Recorder::Write(const Fields& fields) {
  const std::lock_guard lock(mutex_);
  // Rings that their reader has stopped: removed here, so that later calls no longer pay for them.
  RemoveIf([](const Ring& ring) { return HeaderOf(ring.data)->stopped.load() != 0; });
  for (const Ring& ring : rings_) {
    if (ring.calls_only && fields.kind != RecordKind::kCall) continue;
    Slot slot{};
    if (!Claim(ring, &slot)) continue;
    TraceRecord* const record = slot.record;
    record->process = ProcessId();
    record->thread = ThreadId();
    record->error = fields.error;
    record->fault = static_cast<uint16_t>(fields.fault);
    record->kind = static_cast<uint8_t>(fields.kind);
    record->marks =
        static_cast<uint8_t>((is_in_probe ? TraceRecord::kProbe : 0) | (fields.is_slice ? TraceRecord::kSlice : 0));
    record->start = fields.start - HeaderOf(ring.data)->start;
    record->duration = fields.end - fields.start;
    record->result = static_cast<double>(fields.result);
    // Nothing is read back from the record: other processes can write to it. `returned` is short and informative, so
    // its space is reserved before the arguments are cut.
    const size_t reserved = std::min<size_t>(fields.returned.size(), UINT8_MAX);
    const size_t name_end = Append(record->text, 0, fields.name, UINT8_MAX);
    const size_t arguments_end =
        name_end + Append(record->text, name_end, fields.arguments, TraceRecord::kMaxText - name_end - reserved);
    const size_t end_of_text = arguments_end + Append(record->text, arguments_end, fields.returned, reserved);
    record->name_length = static_cast<uint8_t>(name_end);
    record->arguments_length = static_cast<uint16_t>(arguments_end - name_end);
    record->returned_length = static_cast<uint8_t>(end_of_text - arguments_end);
    if (!record->ready.compare_exchange_strong(slot.ready, TraceRecord::ReadyOf(slot.sequence)))
      record->ready.store(TraceRecord::kFree);  // too late: the reader has abandoned it
  }
}

TracedCall::TracedCall(const SystemCall& call, std::initializer_list<uint64_t> arguments)
    : call_(call), recorder_(current_recorder) {
  if (recorder_ == nullptr || !recorder_->IsRecording()) {
    recorder_ = nullptr;
    return;
  }
  std::copy_n(arguments.begin(), std::min(arguments.size(), CallInfo::kMaxArguments), info_.arguments.begin());
  for (size_t i = 0; i < CallInfo::kMaxArguments; ++i) {
    const Argument& argument = call_.arguments[i];
    if (argument.print != nullptr && argument.before) argument.print(printed_[i], info_, i);
  }
  start_ = MonotonicMilliseconds();
}

void TracedCall::Returned(const Result& result, Fault::Kind fault) {
  if (recorder_ == nullptr) return;
  const double end = MonotonicMilliseconds();
  info_.has_returned = true;
  info_.ok = result.ok();
  info_.result = result.value();
  std::string all;
  for (size_t i = 0; i < CallInfo::kMaxArguments; ++i) {
    const Argument& argument = call_.arguments[i];
    if (argument.print == nullptr) break;
    if (argument.after) argument.print(printed_[i], info_, i);
    if (printed_[i].empty()) continue;  // fcntl has a third argument for some commands only
    if (!all.empty()) all += ", ";
    all += printed_[i];
  }
  recorder_->Record(call_, info_, result.error(), fault, start_, end, all, TakeSlice(call_, info_, result.error()));
}

}  // namespace selectors
