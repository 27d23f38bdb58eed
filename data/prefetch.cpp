#include "data/prefetch.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace atrous::data::internal {

void yield_to_training() {
  // On Linux a thread has a niceness of its own.
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), 10);
}

}  // namespace atrous::data::internal
