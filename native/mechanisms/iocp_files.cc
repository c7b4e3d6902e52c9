// The operations of a completion port on files.
#include <utility>

#include "core/args.h"
#include "mechanisms/iocp.h"
#include "mechanisms/iocp_calls.h"

// After winsock2.h.
#include <winternl.h>

namespace selectors {
namespace {

using Kind = Operation::Kind;

int StartFile(Operation& operation) {
  const auto size = static_cast<DWORD>(operation.size);
  auto* const bytes = static_cast<void*>(operation.bytes.get());
  const Result started =
      operation.kind == Kind::kRead
          ? Call<::ReadFile>(operation.handle, bytes, size, nullptr, &operation.overlapped)
          : Call<::WriteFile>(operation.handle, static_cast<const void*>(bytes), size, nullptr, &operation.overlapped);
  return started.error();
}

// What a handle may be used for: a descriptor that was opened for reading alone must not become one for writing.
ACCESS_MASK GrantedAccess(HANDLE handle) {
  static const auto query = reinterpret_cast<QueryObject>(
      reinterpret_cast<void*>(GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "NtQueryObject")));
  constexpr int kBasicInformation = 0;  // ObjectBasicInformation
  PUBLIC_OBJECT_BASIC_INFORMATION information{};
  const bool known =
      query != nullptr && Call<QueryObjectBy>(handle, kBasicInformation, static_cast<void*>(&information),
                                              ULONG{sizeof information}, nullptr, query)
                                  .value() >= 0;
  return known ? information.GrantedAccess : ACCESS_MASK{FILE_READ_DATA | FILE_WRITE_DATA | FILE_APPEND_DATA};
}

// A descriptor of Node's fs is one of the C runtime's, whose handle is not for overlapped I/O: the same file once more.
Result OpenOverlapped(size_t fd, bool writing, UniqueHandle* opened) {
  using OsHandle = HANDLE (*)(int fd);
  static const auto os_handle = reinterpret_cast<OsHandle>(FindProgramFunction("uv_get_osfhandle"));
  if (os_handle == nullptr) return Result::Error(ERROR_NOT_SUPPORTED);
  if (fd > INT32_MAX) return Result::Error(ERROR_INVALID_HANDLE);
  const HANDLE handle = os_handle(static_cast<int>(fd));
  if (handle == INVALID_HANDLE_VALUE || handle == nullptr) return Result::Error(ERROR_INVALID_HANDLE);
  const ACCESS_MASK needed = writing ? FILE_WRITE_DATA | FILE_APPEND_DATA : FILE_READ_DATA;
  if ((GrantedAccess(handle) & needed) == 0) return Result::Error(ERROR_INVALID_HANDLE);  // EBADF, as read(2) has it
  const Result again =
      Call<::ReOpenFile>(handle, DWORD{writing ? GENERIC_WRITE : GENERIC_READ},
                         DWORD{FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE}, DWORD{FILE_FLAG_OVERLAPPED});
  if (again.ok()) *opened = UniqueHandle(reinterpret_cast<HANDLE>(static_cast<intptr_t>(again.value())));
  return StatusOf(again);
}

void SetPosition(Operation& operation, int64_t position) {
  operation.overlapped.Offset = static_cast<DWORD>(position & UINT32_MAX);
  operation.overlapped.OffsetHigh = static_cast<DWORD>(position >> 32);
}

}  // namespace

// openFile(fd, writing): the handle of a file of Node's, opened once more for overlapped I/O; until closeFile, or
// with this object.
Napi::Value Iocp::OpenFile(const Napi::CallbackInfo& info) {
  Args args(info);
  const size_t fd = args.SizeAt(0, UINT32_MAX);
  const bool writing = args.BooleanAt(1);
  if (!args.ok()) return info.Env().Undefined();
  UniqueHandle file;
  const Result opened = port_->IsOpen() ? OpenOverlapped(fd, writing, &file) : Result::Error(ERROR_INVALID_HANDLE);
  if (!opened.ok()) return Answer(opened);
  const HANDLE handle = file.get();
  files_.emplace(handle, std::move(file));
  return Answer(Result::Ok(static_cast<int64_t>(reinterpret_cast<intptr_t>(handle))));
}

// closeFile(handle): of those that openFile gave.
Napi::Value Iocp::CloseFile(const Napi::CallbackInfo& info) {
  Args args(info);
  const HANDLE handle = HandleOf(args.FdAt(0));
  if (!args.ok()) return info.Env().Undefined();
  const auto found = files_.find(handle);
  if (found == files_.end()) return Answer(Result::Error(ERROR_INVALID_HANDLE));
  const Result closed = found->second.Close();
  files_.erase(found);
  return Answer(closed);
}

// readFile(id, handle, size, position)
Napi::Value Iocp::ReadFromFile(const Napi::CallbackInfo& info) {
  Args args(info);
  auto operation = OperationOf(Kind::kRead, args);
  const size_t size = args.SizeAt(2, INT32_MAX);
  SetPosition(*operation, IdAt(args, 3));
  if (!args.ok()) return info.Env().Undefined();
  const Result ready = Furnish(*operation, size);
  return Start(std::move(operation), ready, StartFile);
}

// writeFile(id, handle, bytes, position)
Napi::Value Iocp::WriteToFile(const Napi::CallbackInfo& info) {
  Args args(info);
  auto operation = OperationOf(Kind::kWrite, args);
  const std::span<const uint8_t> bytes = args.BytesAt(2);
  SetPosition(*operation, IdAt(args, 3));
  if (!args.ok()) return info.Env().Undefined();
  const Result ready = Furnish(*operation, bytes);
  return Start(std::move(operation), ready, StartFile);
}

// readDescriptor(id, fd, size, position): a file of Node's, which is opened for this operation alone.
Napi::Value Iocp::ReadDescriptor(const Napi::CallbackInfo& info) {
  Args args(info);
  auto operation = OperationOf(Kind::kRead, args);
  const size_t fd = args.SizeAt(1, UINT32_MAX);
  const size_t size = args.SizeAt(2, INT32_MAX);
  SetPosition(*operation, IdAt(args, 3));
  if (!args.ok()) return info.Env().Undefined();
  Result ready = Furnish(*operation, size);
  if (ready.ok()) ready = OpenFor(*operation, fd);
  return Start(std::move(operation), ready, StartFile);
}

// writeDescriptor(id, fd, bytes, position)
Napi::Value Iocp::WriteDescriptor(const Napi::CallbackInfo& info) {
  Args args(info);
  auto operation = OperationOf(Kind::kWrite, args);
  const size_t fd = args.SizeAt(1, UINT32_MAX);
  const std::span<const uint8_t> bytes = args.BytesAt(2);
  SetPosition(*operation, IdAt(args, 3));
  if (!args.ok()) return info.Env().Undefined();
  Result ready = Furnish(*operation, bytes);
  if (ready.ok()) ready = OpenFor(*operation, fd);
  return Start(std::move(operation), ready, StartFile);
}

Result Iocp::OpenFor(Operation& operation, size_t fd) {
  const Result opened = OpenOverlapped(fd, operation.kind == Kind::kWrite, &operation.file);
  operation.handle = operation.file.get();
  return opened.ok() ? port_->Associate(operation.handle, 0) : opened;
}

}  // namespace selectors
