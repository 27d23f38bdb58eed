#include "core/env.h"

#include <cstdlib>

namespace atrous::env {
namespace {

constexpr Variable variables[] = {
    {"ATROUS_THREADS", "integer", "cores the process may use", "CPU threads of the one thread pool"},
    {"ATROUS_IMPL", "op:name[,op:name]", "", "force an implementation, e.g. conv2d:ref or conv2d.forward:ref"},
    {"ATROUS_VERBOSE", "dispatch", "", "print which implementation each op chose, and why not the others"},
    {"ATROUS_VALIDATE", "ref", "", "run every op on its reference too and compare"},
    {"ATROUS_ISA", "generic|avx2|avx512", "best the CPU has",
     "highest instruction set of the hand-written kernels (compiler-made versions are chosen by the loader)"},
    {"ATROUS_PYTHON", "path", "/usr/bin/python3",
     "Python with torch, the peer of `atrous bench nets --peers`"},
    {"NO_COLOR", "any", "", "no colours on the terminal"},
};

std::string get(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

std::span<const Variable> table() {
  return variables;
}
std::string threads() {
  return get("ATROUS_THREADS");
}
std::string implementation() {
  return get("ATROUS_IMPL");
}
bool verbose_dispatch() {
  return get("ATROUS_VERBOSE").find("dispatch") != std::string::npos;
}
bool validate_against_ref() {
  return get("ATROUS_VALIDATE") == "ref";
}
std::string python() {
  return get("ATROUS_PYTHON");
}
std::string isa() {
  return get("ATROUS_ISA");
}

}  // namespace atrous::env
