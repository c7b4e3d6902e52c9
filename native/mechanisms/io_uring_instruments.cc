// Where fault plans (io_uring_faults.cc) and traces (io_uring_trace.cc) see the entries and the completions of a ring.
// Each entry is instrumented once, when it is first submitted: the kernel may refuse it then, and it stays in the
// queue.
#include <algorithm>

#include "core/trace.h"
#include "mechanisms/io_uring_ring.h"

namespace selectors::uring {

void Ring::InstrumentEntries() {
  const bool is_traced = Recorder::RecordsOperations();
  // The entries before were submitted while there was neither a plan nor a trace.
  if (sq_tail_ - instrumented_index_ > unsubmitted()) instrumented_index_ = SqHead();
  for (; instrumented_index_ != sq_tail_; ++instrumented_index_) {
    io_uring_sqe& sqe = *EntryAt(instrumented_index_);
    OperationRecord submission;
    if (is_traced) {
      submission.arguments = DescribeSubmission(sqe);
      submission.name = submissions_.at(sqe.user_data).name;
    }
    submission.fault = TakeFaultOf(&sqe).kind;
    if (is_traced) Recorder::RecordOperation(submission);
  }
  instruments_completions_ = is_traced || !injected_.empty() || !submissions_.empty();
}

// For entries that are removed unsubmitted: they never complete, and their user_data may be reused.
void Ring::RemoveInstrumented(uint32_t count) {
  uint32_t instrumented = instrumented_index_ - SqHead();
  if (instrumented > unsubmitted()) instrumented = 0;  // others were submitted while there was neither
  for (uint32_t i = 0; i < count; ++i) {
    if (unsubmitted() - 1 - i >= instrumented) continue;
    io_uring_cqe cqe{EntryFromEnd(i)->user_data, 0, 0};
    if (EntryFromEnd(i)->opcode == IORING_OP_NOP) ApplyInjectedResult(&cqe);
    ForgetSubmission(cqe.user_data);
  }
  if (instrumented > unsubmitted() - count) instrumented_index_ = sq_tail_ - count;
}

void Ring::InstrumentCompletion(io_uring_cqe* cqe) {
  const bool is_injected = ApplyInjectedResult(cqe);
  TraceCompletion(*cqe, is_injected);
  if (!IsInstrumented()) instruments_completions_ = !injected_.empty() || !submissions_.empty();
}

}  // namespace selectors::uring
