#!/usr/bin/env bash
# run: the long forms of the fault tests, minutes each; the short ones are part of `./dev test`. Usage: run.sh BUILD
# ESRUN_FAULT_ROUNDS scales them (kills, appends a process); every test says what it did and exits 1 on a loss.
set -euo pipefail
build=$(realpath "$1")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
failed=0

try() {
  printf '== %s\n' "$1"
  shift
  "$@" || { failed=$((failed + 1)); echo "FAIL"; }
}

try "many processes append to one file, writers are killed" env "ESRUN_FAULT_ROUNDS=${ESRUN_FAULT_ROUNDS:-200}" "$build/test_store_processes"
try "the disk fills up during appends" bash "$here/full_disk.sh" "$build"

if ((failed)); then
  printf '%d fault tests failed\n' "$failed"
  exit 1
fi
echo "all fault tests passed"
