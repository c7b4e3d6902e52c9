// Descriptors through a Unix socket: SCM_RIGHTS (unix(7)), sendmsg(2) and recvmsg(2).
//
// The kernel's side of a receive. Each descriptor that the kernel installs is a new number of this process, whether the
// caller asked for it or not, and only the control messages say which. Other control messages may come before it and
// take room: SCM_CREDENTIALS (SO_PASSCRED), SCM_SECURITY (SO_PASSSEC), SCM_TIMESTAMP*. And Linux adds a descriptor of
// its own, SCM_PIDFD (SO_PASSPIDFD). Linux installs as many as fit. XNU installs all, and then cuts what says so at
// msg_controllen (uipc_usrreq.c, unp_externalize), so those that were cut could never be closed. Hence there is always
// room for as many as a message can have, and what the caller did not ask for is closed here.
#include <cstring>
#include <memory>

#include "core/args.h"
#include "core/descriptor.h"
#include "core/syscall.h"
#include "core/transfer.h"
#include "net/net.h"

namespace selectors {
namespace {

// Room for `size` bytes of control messages, zero, aligned as cmsghdr requires.
class ControlBuffer {
 public:
  explicit ControlBuffer(size_t size) : words_(new size_t[size / sizeof(size_t) + 1]()) {}
  void* data() { return words_.get(); }

 private:
  std::unique_ptr<size_t[]> words_;
};

// Linux sends at most 253 descriptors (SCM_MAX_FD), XNU as many as fit into 2048 bytes of control messages (MCLBYTES,
// uipc_syscalls.c, sockargs). The rest is for everything else, of which a security label is the longest.
constexpr size_t kControlRoom = 8192;

// Takes over the descriptors of a control message: into `wanted` from `count` on; those that find no room there are
// closed, and make it answer false.
bool TakeDescriptors(std::span<const uint8_t> data, std::span<int32_t> wanted, size_t* count) {
  bool has_room = true;
  for (size_t at = 0; at + sizeof(int) <= data.size(); at += sizeof(int)) {
    int received = kNoFd;
    std::memcpy(&received, data.data() + at, sizeof received);
    if (received < 0) continue;  // SCM_PIDFD where the kernel had no descriptor for it: an error number
    UniqueFd owned(received);
    if (*count == wanted.size()) {
      has_room = false;  // closed here
      continue;
    }
    SetInheritable(received, false).Ignore("the kernel has just installed this descriptor, so it is open");
    wanted[(*count)++] = owned.Release();
  }
  return has_room;
}

// sendFds(fd, data, descriptors, count): how many bytes of `data` were sent (at least one, or no descriptor goes with
// it).
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

// recvFds(fd, buffer, descriptorsOut, out): how many bytes; out[0] is how many descriptors were put into
// `descriptorsOut`, all of them close-on-exec, and out[1] the message's flags. MSG_CTRUNC: more descriptors were sent
// than there was room for (the others are closed), or the kernel itself had no room, or no number, for something.
napi_value RecvFds(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd fd = args.FdAt(0);
  const std::span<uint8_t> buffer = args.BytesAt(1);
  const std::span<int32_t> descriptors = args.IntsAt(2);
  const std::span<int32_t> out = args.IntsAt(3);
  if (args.ok() && out.size() < 2) args.Fail(3, "an Int32Array of two");
  if (!args.ok()) return nullptr;

  ControlBuffer control(kControlRoom);
  iovec part{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = kControlRoom;
  const Result result = CallRetry<::recvmsg>(fd, &message, kReceiveCloseOnExec);
  size_t count = 0;
  if (result.ok()) {
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_len < CMSG_LEN(0)) break;  // no header: the macros of some systems would never get past it
      if (header->cmsg_level != SOL_SOCKET) continue;
      const std::span<const uint8_t> data = ControlData(message, *header);
      if (header->cmsg_type == SCM_RIGHTS) {
        if (!TakeDescriptors(data, descriptors, &count)) message.msg_flags |= MSG_CTRUNC;
      } else if (header->cmsg_type == kScmPidfd) {
        // The sender's process. Closed, whatever comes of it: sendFds cannot have sent it, and the caller cannot tell
        // it from what was sent.
        size_t none = 0;
        TakeDescriptors(data, {}, &none);
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
