// The instruction sets of the CPU. Kernels are compiled for several of them and chosen here, at run time.
#pragma once

#include <string>

namespace atrous {

enum class Isa { generic = 0, avx2 = 1, avx512 = 2 };  // avx2 includes FMA; avx512 means F, BW, VL and DQ

// The best set that CPU and operating system support, limited by ATROUS_ISA.
Isa cpu_isa();
const char* name_of(Isa isa);
std::string cpu_model_name();
bool cpu_has_bf16();

}  // namespace atrous

// Compiles a function three times and lets the loader pick. For plain loops that the compiler vectorises; hot
// micro-kernels have separate files. Sanitizer builds keep one version (their runtime is not up yet when
// the loader resolves the function).
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(ATROUS_SANITIZED)
#define ATROUS_MULTIVERSION __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define ATROUS_MULTIVERSION
#endif
