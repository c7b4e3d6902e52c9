// The operations of a completion port on files. A descriptor of Node's fs belongs to the C runtime, and its handle is
// not opened for overlapped I/O: the file is opened again with ReOpenFile, for many operations (openFile) or for one
// (readDescriptor, writeDescriptor). Return values: see iocp_sockets.cc.
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

// The access rights of a handle. Without the check, a descriptor opened only for reading could be reopened for writing.
ACCESS_MASK GrantedAccess(HANDLE handle) {
  static const auto nt_query_object = reinterpret_cast<NtQueryObjectFunction>(
      reinterpret_cast<void*>(GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "NtQueryObject")));
  constexpr int kBasicInformation = 0;  // ObjectBasicInformation
  PUBLIC_OBJECT_BASIC_INFORMATION information{};
  const bool is_known = nt_query_object != nullptr &&
                        Call<InvokeNtQueryObject>(handle, kBasicInformation, static_cast<void*>(&information),
                                                  ULONG{sizeof information}, nullptr, nt_query_object)
                                .value() >= 0;
  return is_known ? information.GrantedAccess : ACCESS_MASK{FILE_READ_DATA | FILE_WRITE_DATA | FILE_APPEND_DATA};
}

// Opens the file of a descriptor again, for overlapped I/O.
Result OpenOverlapped(size_t fd, bool writing, UniqueHandle* opened) {
  using OsHandle = HANDLE (*)(int fd);
  static const auto os_handle = reinterpret_cast<OsHandle>(FindProgramFunction("uv_get_osfhandle"));
  if (os_handle == nullptr) return Result::Error(ERROR_NOT_SUPPORTED);
  if (fd > INT32_MAX) return Result::Error(ERROR_INVALID_HANDLE);
  const HANDLE handle = os_handle(static_cast<int>(fd));
  if (handle == INVALID_HANDLE_VALUE || handle == nullptr) return Result::Error(ERROR_INVALID_HANDLE);
  const ACCESS_MASK needed = writing ? FILE_WRITE_DATA | FILE_APPEND_DATA : FILE_READ_DATA;
  if ((GrantedAccess(handle) & needed) == 0) return Result::Error(ERROR_INVALID_HANDLE);  // EBADF, as read(2) fails
  const Result reopened =
      Call<::ReOpenFile>(handle, DWORD{writing ? GENERIC_WRITE : GENERIC_READ},
                         DWORD{FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE}, DWORD{FILE_FLAG_OVERLAPPED});
  if (reopened.ok()) *opened = UniqueHandle(reinterpret_cast<HANDLE>(static_cast<intptr_t>(reopened.value())));
  return StatusOf(reopened);
}

void SetPosition(Operation& operation, int64_t position) {
  operation.overlapped.Offset = static_cast<DWORD>(position & UINT32_MAX);
  operation.overlapped.OffsetHigh = static_cast<DWORD>(position >> 32);
}

}  // namespace

// openFile(fd, writing): opens the file of a descriptor of Node's fs again, for overlapped I/O. Returns a handle, valid
// until closeFile() or close(), or a negative error.
Napi::Value Iocp::OpenFile(const Napi::CallbackInfo& info) {
  Args args(info);
  const size_t fd = args.SizeAt(0, UINT32_MAX);
  const bool writing = args.BooleanAt(1);
  if (!args.ok()) return info.Env().Undefined();
  UniqueHandle file;
  const Result opened = port_->IsOpen() ? OpenOverlapped(fd, writing, &file) : Result::Error(ERROR_INVALID_HANDLE);
  if (!opened.ok()) return ToValue(opened);
  const HANDLE handle = file.get();
  files_.emplace(handle, std::move(file));
  return ToValue(Result::Ok(static_cast<int64_t>(reinterpret_cast<intptr_t>(handle))));
}

// closeFile(handle): closes a handle of openFile(). Returns 0 or a negative error.
Napi::Value Iocp::CloseFile(const Napi::CallbackInfo& info) {
  Args args(info);
  const HANDLE handle = HandleOf(args.FdAt(0));
  if (!args.ok()) return info.Env().Undefined();
  const auto found = files_.find(handle);
  if (found == files_.end()) return ToValue(Result::Error(ERROR_INVALID_HANDLE));
  const Result closed = found->second.Close();
  files_.erase(found);
  return ToValue(closed);
}

// readFile(id, handle, size, position): position in bytes.
Napi::Value Iocp::ReadFromFile(const Napi::CallbackInfo& info) {
  Args args(info);
  auto operation = NewOperation(Kind::kRead, args);
  const size_t size = args.SizeAt(2, INT32_MAX);
  SetPosition(*operation, IdAt(args, 3));
  if (!args.ok()) return info.Env().Undefined();
  const Result prepared = Allocate(*operation, size);
  return Start(std::move(operation), prepared, StartFile);
}

// writeFile(id, handle, bytes, position)
Napi::Value Iocp::WriteToFile(const Napi::CallbackInfo& info) {
  Args args(info);
  auto operation = NewOperation(Kind::kWrite, args);
  const std::span<const uint8_t> bytes = args.BytesAt(2);
  SetPosition(*operation, IdAt(args, 3));
  if (!args.ok()) return info.Env().Undefined();
  const Result prepared = CopyBytes(*operation, bytes);
  return Start(std::move(operation), prepared, StartFile);
}

// readDescriptor(id, fd, size, position): reads from a descriptor of Node's fs, reopened for this operation alone.
Napi::Value Iocp::ReadDescriptor(const Napi::CallbackInfo& info) {
  Args args(info);
  auto operation = NewOperation(Kind::kRead, args);
  const size_t fd = args.SizeAt(1, UINT32_MAX);
  const size_t size = args.SizeAt(2, INT32_MAX);
  SetPosition(*operation, IdAt(args, 3));
  if (!args.ok()) return info.Env().Undefined();
  Result prepared = Allocate(*operation, size);
  if (prepared.ok()) prepared = OpenForOperation(*operation, fd);
  return Start(std::move(operation), prepared, StartFile);
}

// writeDescriptor(id, fd, bytes, position): the same for a write.
Napi::Value Iocp::WriteDescriptor(const Napi::CallbackInfo& info) {
  Args args(info);
  auto operation = NewOperation(Kind::kWrite, args);
  const size_t fd = args.SizeAt(1, UINT32_MAX);
  const std::span<const uint8_t> bytes = args.BytesAt(2);
  SetPosition(*operation, IdAt(args, 3));
  if (!args.ok()) return info.Env().Undefined();
  Result prepared = CopyBytes(*operation, bytes);
  if (prepared.ok()) prepared = OpenForOperation(*operation, fd);
  return Start(std::move(operation), prepared, StartFile);
}

Result Iocp::OpenForOperation(Operation& operation, size_t fd) {
  const Result opened = OpenOverlapped(fd, operation.kind == Kind::kWrite, &operation.file);
  operation.handle = operation.file.get();
  return opened.ok() ? port_->Associate(operation.handle, 0) : opened;
}

}  // namespace selectors
