#!/usr/bin/env bash
# run: has Go's own notes and trees (Debian's golang-golang-x-mod-dev) check what the library and the command sign and prove, and
# refuse it altered; then has the command check what Go signed and proved. Usage: run.sh BUILD, a build folder with libesrun.a
# and esrun. Needs no network.
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

# ---- Files that the command wrote ----------------------------------------------------------------------------------

fail() { echo "interop: $*" >&2; exit 1; }
export HOME=$work/home
unset XDG_STATE_HOME XDG_DATA_HOME XDG_CONFIG_HOME
mkdir "$HOME" "$work/cli" "$work/bundle" "$work/go"
cp -R "$root/examples/document" "$work/project"
esrun() { "$build/esrun" --project "$work/project" "$@"; }

esrun keygen >"$work/cli/vkey" 2>/dev/null
for ((event = 1; event <= 11; event++)); do
  esrun exec "Document/d$event" create title=T content="$event" --as user:alice >/dev/null
  ((event % 3 == 0)) || esrun checkpoint --out "$work/cli/$event.checkpoint" >/dev/null
done
esrun export >"$work/events"
grep -o '"hash":"[0-9a-f]*"' "$work/events" | cut -d '"' -f 4 >"$work/cli/leaves"
position=0
while read -r id; do
  position=$((position + 1))
  esrun prove "$id" --out "$work/cli/$position.tlog-proof" >/dev/null
done < <(grep -o '"event_id":"[0-9a-f-]*"' "$work/events" | cut -d '"' -f 4)
esrun prove --from 3 --to 7 --out "$work/cli/3-7.consistency" >/dev/null
esrun prove --from 4 --out "$work/cli/4-11.consistency" >/dev/null
"$work/check" "$work/cli"

esrun export --bundle "$work/exported" 2>/dev/null >&2
cp "$work/exported"/proofs/*.tlog-proof "$work/bundle"
cp "$work/exported/vkey" "$work/cli/leaves" "$work/bundle"
cp "$work/exported/checkpoint" "$work/bundle/bundle.checkpoint"
(($(find "$work/bundle" -name '*.tlog-proof' | wc -l) == 11)) || fail "the bundle lacks proofs"
"$work/check" "$work/bundle"

# ---- Files that Go wrote ---------------------------------------------------------------------------------------------

head -n 1 "$work/cli/11.checkpoint" | tr -d '\n' >"$work/cli/origin"
"$work/check" make "$work/cli" "$work/go"
checked=0
verify_proof() { "$build/esrun" verify-proof "$@" --key "$work/go/vkey" >/dev/null 2>"$work/error"; }
refuses() {
  local status=0
  verify_proof "$@" || status=$?
  ((status == 6)) || fail "verify-proof $* exits with $status, wanted 6: $(cat "$work/error")"
}
for ((event = 1; event <= 11; event++)); do
  line=$(sed -n "${event}p" "$work/events")
  proof=$work/go/$event.tlog-proof
  verify_proof "$proof" --event "$line" || fail "Go's proof of event $event: $(cat "$work/error")"
  refuses "$proof" --event "$(sed -n "$((event % 11 + 1))p" "$work/events")"
  sed "s/^index .*/index $((event % 11))/" "$proof" >"$work/altered"
  refuses "$work/altered"
  verify_proof "$work/go/$event.consistency" --old "$work/go/$event.checkpoint" || fail "Go's tree of $event: $(cat "$work/error")"
  refuses "$work/go/$event.consistency" --old "$work/go/$((event % 11 + 1)).checkpoint"
  ((event % 3 == 0)) || # of these sizes the store has no checkpoint, which verify would miss
    esrun verify --anchor "$work/go/$event.checkpoint" --key "$work/go/vkey" >/dev/null || fail "verify refuses Go's checkpoint of $event"
  checked=$((checked + 2))
done
echo "$checked proofs that Go made are accepted, and none for another event or tree"
