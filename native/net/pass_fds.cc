// Passes descriptors through a Unix socket: SCM_RIGHTS (unix(7)), by sendmsg(2) and recvmsg(2).
//
// How not to leak descriptors when receiving: the kernel opens each received descriptor in this process, wanted or not,
// and only the control messages name them. Other control messages may precede them and take up space: SCM_CREDENTIALS
// (SO_PASSCRED), SCM_SECURITY (SO_PASSSEC), SCM_TIMESTAMP*. Linux adds a descriptor of its own, SCM_PIDFD
// (SO_PASSPIDFD). Linux opens only as many as fit into the control buffer. XNU opens all of them and then truncates the
// control message at msg_controllen (uipc_usrreq.c, unp_externalize): those that were cut off could never be closed.
// So the buffer always has space for as many as a message can carry, and descriptors beyond the caller's are closed
// here.
#include <cstring>
#include <memory>

#include "core/args.h"
#include "core/descriptor.h"
#include "core/syscall.h"
#include "core/transfer.h"
#include "net/net.h"

namespace selectors {
namespace {

// A zeroed buffer for `size` bytes of control messages, aligned as cmsghdr requires.
class ControlBuffer {
 public:
  explicit ControlBuffer(size_t size) : words_(new size_t[size / sizeof(size_t) + 1]()) {}
  void* data() { return words_.get(); }

 private:
  std::unique_ptr<size_t[]> words_;
};

// A message carries at most 253 descriptors on Linux (SCM_MAX_FD), and on XNU as many as fit into 2048 bytes of control
// messages (MCLBYTES, uipc_syscalls.c, sockargs). The rest is for other control messages; a security label is the
// longest.
constexpr size_t kControlSize = 8192;

// Appends the descriptors of a control message to `wanted`, at index *count. Those that do not fit are closed; then the
// result is false.
bool TakeDescriptors(std::span<const uint8_t> data, std::span<int32_t> wanted, size_t* count) {
  bool all_fit = true;
  for (size_t at = 0; at + sizeof(int) <= data.size(); at += sizeof(int)) {
    int received = kNoFd;
    std::memcpy(&received, data.data() + at, sizeof received);
    if (received < 0) continue;  // SCM_PIDFD: an error number, if the kernel could not open a descriptor for it
    UniqueFd owned(received);
    if (*count == wanted.size()) {
      all_fit = false;
      continue;  // `owned` closes it
    }
    SetInheritable(received, false).Ignore("the kernel has just installed this descriptor, so it is open");
    wanted[(*count)++] = owned.Release();
  }
  return all_fit;
}

// sendFds(fd, data, descriptors, count): the number of bytes of `data` that were sent. Without at least one byte, no
// descriptor is sent.
napi_value SendFds(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd fd = args.FdAt(0);
  const std::span<uint8_t> data = args.BytesAt(1);
  std::span<int32_t> descriptors = args.IntsAt(2);
  descriptors = descriptors.first(args.SizeAt(3, descriptors.size()));
  if (!args.ok()) return nullptr;

  ControlBuffer control(CMSG_SPACE(descriptors.size_bytes()));
  iovec part{data.data(), data.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    const size_t length = descriptors.size_bytes();
    message.msg_control = control.data();
    message.msg_controllen = static_cast<decltype(message.msg_controllen)>(CMSG_SPACE(length));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = static_cast<decltype(header->cmsg_len)>(CMSG_LEN(length));
    std::memcpy(CMSG_DATA(header), descriptors.data(), length);
  }
  return ToJavaScript(env, CallRetry<::sendmsg>(fd, static_cast<const msghdr*>(&message), kNoSignal));
}

// recvFds(fd, buffer, descriptorsOut, out): the number of bytes received. out[0] is the number of descriptors written
// to `descriptorsOut`, all close-on-exec; out[1] has the message's flags. MSG_CTRUNC: more descriptors were sent than
// fit there (the others are closed), or the kernel had to drop a control message, or could not open a descriptor.
napi_value RecvFds(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd fd = args.FdAt(0);
  const std::span<uint8_t> buffer = args.BytesAt(1);
  const std::span<int32_t> descriptors = args.IntsAt(2);
  const std::span<int32_t> out = args.IntsAt(3);
  if (args.ok() && out.size() < 2) args.Fail(3, "an Int32Array of two");
  if (!args.ok()) return nullptr;

  ControlBuffer control(kControlSize);
  iovec part{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = kControlSize;
  const Result result = CallRetry<::recvmsg>(fd, &message, kReceiveCloseOnExec);
  size_t count = 0;
  if (result.ok()) {
    for (const cmsghdr* header = NextControl(message, nullptr); header != nullptr;
         header = NextControl(message, header)) {
      if (header->cmsg_level != SOL_SOCKET) continue;
      const std::span<const uint8_t> data = ControlData(message, *header);
      if (header->cmsg_type == SCM_RIGHTS) {
        if (!TakeDescriptors(data, descriptors, &count)) message.msg_flags |= MSG_CTRUNC;
      } else if (header->cmsg_type == kScmPidfd) {
        // A descriptor of the sender's process. Always closed: sendFds did not send it, and the caller could not
        // distinguish it from the others.
        size_t no_descriptors = 0;
        TakeDescriptors(data, {}, &no_descriptors);
      }
    }
  }
  out[0] = static_cast<int32_t>(count);
  out[1] = message.msg_flags;
  return ToJavaScript(env, ClampLength(buffer.size(), result));
}

}  // namespace

void RegisterPassFds(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "sendFds", SendFds);
  Export(env, exports, "recvFds", RecvFds);
}

}  // namespace selectors
