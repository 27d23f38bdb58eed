// AMX, the matrix unit of some x86 processors.
#pragma once

namespace atrous {

// Whether processor and operating system offer products of bf16 tiles to this process. Linux keeps the unit's
// 8 KiB of registers only for processes that request them; the first call does so for all threads.
bool cpu_has_amx_bf16();

}  // namespace atrous
