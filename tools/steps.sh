# shellcheck shell=bash
# The steps that tools/demo and tools/test share. Sourced by them, not run.
# Every word goes to stderr: stdout belongs to what is run in the end.

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
jobs=$(nproc)

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# A second build of the same sources is mostly reading a cache, where there is one.
if [[ -z ${CMAKE_CXX_COMPILER_LAUNCHER:-} ]] && command -v ccache >/dev/null; then
  export CMAKE_CXX_COMPILER_LAUNCHER=ccache
fi

# configure PRESET: quiet unless it fails.
configure() {
  local preset=$1 log
  mkdir -p "$root/build"
  log="$root/build/configure-$preset.log"
  if ! (cd "$root" && cmake --preset "$preset") >"$log" 2>&1; then
    cat "$log" >&2
    say "error: CMake could not configure the preset '$preset'; why is above"
    say "  fix: if it speaks of another source folder, compiler or generator: rm -r build/$preset, then try again"
    return 1
  fi
}

# build PRESET [TARGET...]
build() {
  local preset=$1
  shift
  say "building $preset${*:+: $*}"
  if ! cmake --build "$root/build/$preset" --parallel "$jobs" ${1:+--target "$@"} >&2; then
    say "error: the build of '$preset' failed; the compiler's words are above"
    say "  fix: if it was killed, memory ran out: try again with one job, cmake --build build/$preset --parallel 1"
    return 1
  fi
}
