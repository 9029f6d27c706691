#!/usr/bin/env bash
# run: has Go's own notes and trees (Debian's golang-golang-x-mod-dev) check what this project signs and proves, and refuse it
# altered. Usage: run.sh BUILD, a build folder with libesrun.a. Needs no network.
set -euo pipefail
build=$(realpath "$1")
root=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Debian's Go packages live in a GOPATH; nothing is fetched.
export GO111MODULE=off GOPATH=/usr/share/gocode GOFLAGS='' GOPROXY=off GOCACHE="$work/go-cache"
(cd "$root/tests/interop" && go vet main.go && go build -o "$work/check" main.go)

read -ra flags < <(pkg-config --cflags --libs libcrypto uuid)
"${CC:-cc}" -std=gnu11 -I"$root/runtime" -I"$root/runtime/include" -o "$work/write_tree" \
  "$root/tests/interop/write_tree.c" "$build/libesrun.a" "${flags[@]}"

for leaves in 1 2 3 100 1000 20000; do
  mkdir "$work/$leaves"
  "$work/write_tree" "$work/$leaves" "$leaves"
  "$work/check" "$work/$leaves"
done
