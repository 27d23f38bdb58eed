#!/usr/bin/env bash
# scripts/gpu_vendor.sh [FOLDER]: gathers the headers and libraries that atrous needs from this machine's Debian packages into one
# prefix (default: vendor/, which git ignores; made anew each time), for a GPU machine that has a compiler, CMake and nvcc but none of the packages:
#
#   scripts/gpu_vendor.sh          here
#   (copy the checkout with vendor/ to the GPU machine)
#   scripts/gpu_check.sh           there; or: cmake --preset cuda -DCMAKE_PREFIX_PATH=$PWD/vendor
#
# The GPU machine needs a glibc and libstdc++ no older than this machine's, and the same kind of processor.
set -euo pipefail
usage="usage: scripts/gpu_vendor.sh [FOLDER]    (default: vendor)"
refuse() {
  echo "gpu_vendor: $1" >&2
  exit 2
}
case "${1:-}" in
  -h | --help) echo "$usage"; exit 0 ;;
  -*) refuse "no option is called $1. $usage" ;;
esac
[ $# -le 1 ] || refuse "$usage"
vendor=$(realpath -m "${1:-$(dirname "$0")/../vendor}")
cd "$(dirname "$0")/.."
# Only what this script has made is removed.
marker="$vendor/.made_by_gpu_vendor"
[ ! -e "$vendor" ] || [ -d "$vendor" ] || refuse "$vendor is no folder"
[ ! -d "$vendor" ] || [ -e "$marker" ] || [ -z "$(ls -A "$vendor")" ] ||
  refuse "$vendor holds files that this script has not made. Name another folder, or remove it."
scripts/install_deps.sh
rm -rf "$vendor"
mkdir -p "$vendor"/{include,lib/cmake,share/cmake}
touch "$marker"

libraries="/usr/lib/$(gcc -print-multiarch)"
cp -rL /usr/include/{fmt,nlohmann,CLI,catch2,stb} "$vendor/include/"
mkdir -p "$vendor"/{include,share}/eigen3
cp -r /usr/include/eigen3/Eigen "$vendor/include/eigen3/"
cp -L /usr/include/{png.h,pngconf.h,pnglibconf.h,jpeglib.h,jmorecfg.h,jerror.h,zlib.h} "$vendor/include/"
find /usr/include "/usr/include/$(gcc -print-multiarch)" -maxdepth 1 \( -name zconf.h -o -name jconfig.h \) -exec cp -L {} "$vendor/include/" \;
cp -L "$libraries"/{libpng16.a,libz.a,libjpeg.a} "$vendor/lib/"
cp -L /usr/lib/libCatch2WithMain.a "$vendor/lib/"
# These packages find their prefix from where their own files lie.
cp -r /usr/lib/cmake/Catch2 "$vendor/lib/cmake/"
cp -r /usr/share/cmake/{nlohmann_json,CLI11} "$vendor/share/cmake/"
cp -r /usr/share/eigen3/cmake "$vendor/share/eigen3/"

# Debian has fmt as a shared library only; header-only, it does not pass nvcc without warnings.
cp -L "$libraries/libfmt.so" "$vendor/lib/$(basename "$(find "$libraries" -name 'libfmt.so.?' -o -name 'libfmt.so.??')")"
mkdir -p "$vendor/lib/cmake/fmt"
cat >"$vendor/lib/cmake/fmt/fmt-config.cmake" <<'CMAKE'
if(NOT TARGET fmt::fmt)
  get_filename_component(prefix ${CMAKE_CURRENT_LIST_DIR}/../../.. REALPATH)
  file(GLOB library ${prefix}/lib/libfmt.so.*)
  add_library(fmt::fmt SHARED IMPORTED)
  set_target_properties(fmt::fmt PROPERTIES IMPORTED_LOCATION ${library}
    INTERFACE_INCLUDE_DIRECTORIES ${prefix}/include INTERFACE_COMPILE_DEFINITIONS FMT_SHARED)
  unset(library)
  unset(prefix)
endif()
CMAKE

bytes=$(du -sb "$vendor" | cut -f1)
[ "$bytes" -lt $((64 << 20)) ] || { echo "gpu_vendor: $vendor is larger than 64 MiB" >&2; exit 1; }
echo "$vendor: $((bytes >> 10)) KiB"
