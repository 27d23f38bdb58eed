// Every environment variable that atrous reads, declared once. `atrous doctor` and docs/environment.md print
// this table.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace atrous::env {

struct Variable {
  const char* name;
  const char* type;
  const char* default_value;
  const char* help;
};
std::span<const Variable> table();

// Values as set; empty, 0 or false when unset or empty. Error(usage) if a value is not one that the table
// allows.
int threads();                 // ATROUS_THREADS
std::string implementation();  // ATROUS_IMPL, e.g. "conv2d:ref" or "conv2d.forward:ref"; not checked
bool verbose_dispatch();       // ATROUS_VERBOSE=dispatch
bool validate_against_ref();   // ATROUS_VALIDATE=ref
std::string python();          // ATROUS_PYTHON
std::string weights();         // ATROUS_WEIGHTS, a folder
std::string isa();             // ATROUS_ISA: generic, avx2 or avx512; the highest instruction set to use
bool sync();                   // ATROUS_SYNC=1
bool sim_lag();                // ATROUS_SIM_LAG=1
uint64_t sim_memory();         // ATROUS_SIM_MEMORY in bytes, or its default
uint64_t sim_seed();   // ATROUS_SIM_SEED, or its default: every random choice of the simulator follows
bool sim_check();      // ATROUS_SIM_CHECK=1 or all
bool sim_check_all();  // ATROUS_SIM_CHECK=all

// Reads all of them, so that a mistake is reported at the start and not where the value is first used.
// Returns a warning for each variable that begins with ATROUS_ and is not in the table: most likely a typing
// error as well.
std::vector<std::string> check();

}  // namespace atrous::env
