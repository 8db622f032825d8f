# What the files of this folder share: steps that are counted, and what the machine has. The caller sets `work`, a folder for
# everything that is made.
passed=0 skipped=0 current="" counted=1
count() { # the step that ends here, unless it was skipped
  [ "$counted" = 1 ] || passed=$((passed + 1))
  counted=1
}
step() {
  count
  current=$1 counted=0
  printf '\n==== %s [%ds] ====\n' "$current" "$SECONDS"
}
skip() {
  skipped=$((skipped + 1)) counted=1
  printf 'SKIPPED: %s\n' "$1"
}
die() {
  printf '%s\n' "$1"
  exit 1
}
has() { command -v "$1" >/dev/null; }
archer() { # the tool that tells ThreadSanitizer what OpenMP's barriers are
  compgen -G "/usr/lib/llvm-*/lib/libarcher.so" | head -n 1 || true
}
tsan() { # clang's runtime for it
  compgen -G "/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.tsan-*.a" | head -n 1 || true
}
fuzzer() { # clang's runtime for libFuzzer
  compgen -G "/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a" | head -n 1 || true
}
leaks() { # 1 where LeakSanitizer works: it traces its own process, which some containers forbid
  echo 'int main(void) { return 0; }' >"$work/leaks.c"
  gcc -fsanitize=address "$work/leaks.c" -o "$work/leaks"
  if ASAN_OPTIONS=detect_leaks=1 "$work/leaks" 2>/dev/null; then echo 1; else echo 0; fi
}
venv() { # venv NAME WHAT...: an environment with those packages, at $work/NAME
  python3 -m venv "$work/$1"
  "$work/$1/bin/python" -m pip install -qq --disable-pip-version-check "${@:2}"
}
quietly() { # quietly WHAT...: its last line, or all of it if it fails
  "$@" >"$work/quiet.txt" 2>&1 || die "$(cat "$work/quiet.txt")"
  tail -n 1 "$work/quiet.txt"
}
