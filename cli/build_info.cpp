#include "cli/build_info.h"

#include <fmt/core.h>
#include <gnu/libc-version.h>
#include <png.h>

#include <CLI/Version.hpp>
#include <nlohmann/json.hpp>

namespace atrous::cli {

std::string version() {
  return ATROUS_VERSION;
}
std::string git_hash() {
  return ATROUS_GIT_HASH;
}
std::string build_type() {
  return ATROUS_BUILD_TYPE;
}
std::string sanitizers() {
  return ATROUS_SANITIZERS;
}

std::string compiler() {
#if defined(__clang__)
  return fmt::format("Clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
  return fmt::format("GCC {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
}

std::vector<std::pair<std::string, std::string>> libraries() {
  const std::string jpeg = ATROUS_JPEG_VERSION;
  return {
      {"libpng", png_get_libpng_ver(nullptr)},
      {"libjpeg-turbo", jpeg.empty() ? "unknown" : jpeg},
      {"nlohmann_json", fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR,
                                    NLOHMANN_JSON_VERSION_PATCH)},
      {"fmt", fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100)},
      {"CLI11", CLI11_VERSION},
      {"glibc", gnu_get_libc_version()},
  };
}

std::string version_line() {
  const std::string hash = git_hash();
  return fmt::format("atrous {}{}", version(), hash.empty() ? "" : " (" + hash + ")");
}

}  // namespace atrous::cli
