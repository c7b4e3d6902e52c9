// Descriptors through a Unix socket: SCM_RIGHTS (unix(7)), sendmsg(2) and recvmsg(2).
#include <cstring>
#include <memory>

#include "core/args.h"
#include "core/descriptor.h"
#include "core/syscall.h"
#include "net/net.h"

namespace selectors {
namespace {

// The control message: room for a cmsghdr and `count` descriptors, aligned as cmsghdr wants it.
class ControlMessage {
 public:
  explicit ControlMessage(size_t count) : words_(new size_t[Words(count)]()) {}
  void* data() { return words_.get(); }

 private:
  static size_t Words(size_t count) { return CMSG_SPACE(count * sizeof(int)) / sizeof(size_t) + 1; }
  std::unique_ptr<size_t[]> words_;
};

// sendFds(fd, data, descriptors, count): how many bytes of `data` were sent (at least one, or no descriptor goes with
// it).
napi_value SendFds(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd fd = args.FdAt(0);
  const std::span<uint8_t> data = args.BytesAt(1);
  std::span<int32_t> descriptors = args.IntsAt(2);
  descriptors = descriptors.first(args.SizeAt(3, descriptors.size()));
  if (!args.ok()) return nullptr;

  ControlMessage control(descriptors.size());
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
  return ToJavaScript(env, CallAgain<::sendmsg>(fd, static_cast<const msghdr*>(&message), kNoSignal));
}

// recvFds(fd, buffer, descriptorsOut, out): how many bytes; out[0] is how many descriptors were put into
// `descriptorsOut`, all of them close-on-exec, and out[1] the message's flags: MSG_CTRUNC says that more were sent than
// there was room for. Those are closed.
napi_value RecvFds(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd fd = args.FdAt(0);
  const std::span<uint8_t> buffer = args.BytesAt(1);
  const std::span<int32_t> descriptors = args.IntsAt(2);
  const std::span<int32_t> out = args.IntsAt(3);
  if (args.ok() && out.size() < 2) args.Fail(3, "an Int32Array of two");
  if (!args.ok()) return nullptr;

  ControlMessage control(descriptors.size());
  iovec part{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  // CMSG_LEN, not CMSG_SPACE: the padding of an odd number would let one descriptor more in.
  message.msg_controllen = static_cast<decltype(message.msg_controllen)>(CMSG_LEN(descriptors.size_bytes()));
  const Result result = CallAgain<::recvmsg>(fd, &message, kReceiveCloseOnExec);
  size_t count = 0;
  if (result.ok()) {
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
      const size_t in_header = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < in_header; ++i) {
        int received = kNoFd;
        std::memcpy(&received, CMSG_DATA(header) + i * sizeof(int), sizeof received);
        UniqueFd owned(received);
        if (count == descriptors.size()) continue;  // closed here
        SetInheritable(received, false).Ignore("the kernel has just given us this descriptor, so it is open");
        descriptors[count++] = owned.Release();
      }
    }
  }
  out[0] = static_cast<int32_t>(count);
  out[1] = message.msg_flags;
  return ToJavaScript(env, result);
}

}  // namespace

void RegisterPassFds(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "sendFds", SendFds);
  Export(env, exports, "recvFds", RecvFds);
}

}  // namespace selectors
