// What only the simulated device offers: detecting and describing damage to its memory.
//
// Every allocation ends (aligned down to 16 bytes) at an inaccessible page and begins after a guard of known
// bytes and another such page, so a kernel that leaves its memory faults at once or is found out later; freed
// memory is inaccessible too. Under AddressSanitizer the guards are poisoned instead, and it reports the
// access itself.
#pragma once

#include <cstdint>
#include <string>

namespace atrous {

// The fill pattern of fresh memory and of a fresh block's shared memory: signalling NaNs as f32 and as two
// bf16. Arithmetic quiets them: it sets bit 22 or 6.
inline constexpr uint32_t kGlobalPoison = 0xFFA1FFA1;
inline constexpr uint32_t kSharedPoison = 0xFFA0FFA0;

struct SimOptions {
  bool lag;         // run work late, in any legal order
  bool check;       // after each kernel check all guards, and search for kSharedPoison
  uint64_t seed;    // of that order
  uint64_t memory;  // bytes
  uint64_t search;  // allocations of up to this many bytes
};
SimOptions sim_options();                 // from the environment unless set
void set_sim_options(const SimOptions&);  // for tests; waits for all work

// Describes the first damaged allocation ("4 bytes before an allocation of 4096 bytes were overwritten");
// empty if there is none. Damage found when memory is freed is reported by the next synchronisation.
std::string sim_check_guards();
// "12 bytes past the end of an allocation of 4096 bytes"; empty if the address is near no simulated memory.
// For the handler of a fault: takes no lock that running a kernel holds.
std::string sim_describe_address(const void* address);

}  // namespace atrous
