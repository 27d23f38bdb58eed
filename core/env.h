// Every environment variable that atrous reads, declared once. `atrous doctor` and docs/environment.md print this table.
#pragma once

#include <span>
#include <string>

namespace atrous::env {

struct Variable {
  const char* name;
  const char* type;
  const char* default_value;
  const char* help;
};
std::span<const Variable> table();

// Values as set; empty when unset.
std::string threads();         // ATROUS_THREADS
std::string implementation();  // ATROUS_IMPL, e.g. "conv2d:ref" or "conv2d.forward:ref"
bool verbose_dispatch();       // ATROUS_VERBOSE holds "dispatch"
bool validate_against_ref();   // ATROUS_VALIDATE=ref
std::string python();          // ATROUS_PYTHON
std::string isa();             // ATROUS_ISA: generic, avx2 or avx512; the highest instruction set to use
std::string sim_seed();      // ATROUS_SIM_SEED: the seed of every schedule of the simulator

}  // namespace atrous::env
