#include "data/prefetch.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace atrous::data::internal {

void yield_to_training() {
  // On Linux each thread has its own niceness.
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), 10);
}

}  // namespace atrous::data::internal
