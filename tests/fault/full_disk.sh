#!/usr/bin/env bash
# full_disk: appends to a store on a small file system until it is full. The failing command must say so with exit status 7,
# nothing acknowledged may be lost, and with room again the store must go on. Usage: full_disk.sh BUILD; needs root for the mount.
set -euo pipefail
build=$(realpath "$1")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
if ((EUID != 0)); then
  echo "full_disk: mounting a small tmpfs needs root: sudo ./dev fault" >&2
  exit 1
fi

work=$(mktemp -d)
mounted=''
# shellcheck disable=SC2317 # called by the trap
clean_up() {
  [[ -z $mounted ]] || umount "$work/disk"
  rm -rf "$work"
}
trap clean_up EXIT
mkdir "$work/disk"
mount -t tmpfs -o size=2m tmpfs "$work/disk"
mounted=yes

fail() { echo "full_disk: $*" >&2; exit 1; }
esrun() { "$build/esrun" --project "$root/examples/document" --store "$work/disk/store.db" "$@"; }

text=$(head -c 20000 /dev/zero | tr '\0' x)
acknowledged=0 status=0
while ((acknowledged < 500)); do
  status=0
  esrun exec "Document/doc-$acknowledged" create title=Full "content=$text" --as user:alice >/dev/null 2>"$work/error" || status=$?
  ((status == 0)) || break
  acknowledged=$((acknowledged + 1))
done
((status == 7)) || fail "after $acknowledged commands the exit status is $status, wanted 7: $(cat "$work/error")"
((acknowledged > 0)) || fail "not one command was stored: $(cat "$work/error")"
grep -qi 'full' "$work/error" || fail "the error does not say that the disk is full: $(cat "$work/error")"

if esrun export --out "$work/disk/all.jsonl" 2>"$work/error"; then fail "an export fits on a full disk"; fi
if [[ -e $work/disk/all.jsonl || -e $work/disk/all.jsonl.part ]]; then fail "a failed export left a file"; fi
if esrun backup "$work/disk/copy.db" 2>"$work/error"; then fail "a backup fits on a full disk"; fi
if compgen -G "$work/disk/copy.db*" >/dev/null; then fail "a failed backup left a file"; fi

# A checkpoint needs room in the store. Two runs: the second one finds the tree as far as the first one got.
export HOME=$work/home
mkdir "$HOME"
esrun keygen >/dev/null 2>&1
for _ in 1 2; do
  status=0
  esrun checkpoint >/dev/null 2>"$work/error" || status=$?
  ((status == 7)) || fail "a checkpoint on a full disk exits with $status, wanted 7: $(cat "$work/error")"
  grep -qi 'full' "$work/error" || fail "the checkpoint's error does not say that the disk is full: $(cat "$work/error")"
  esrun verify >/dev/null || fail "verify does not pass after a checkpoint that failed"
done

mount -o remount,size=8m "$work/disk"
stored=$(esrun log --output jsonl | wc -l)
((stored == acknowledged)) || fail "$acknowledged commands were acknowledged, $stored events are stored"
esrun verify >/dev/null || fail "verify does not pass after the disk was full"
esrun checkpoint >/dev/null || fail "no checkpoint is signed with room again"
[[ $(esrun verify) == anchored* ]] || fail "what was signed is not remembered"
esrun exec Document/after create title=After content=room --as user:alice >/dev/null || fail "the store does not go on with room again"

# Opening lays files beside the store. However little room is left for them, it is the disk that is full, not one that failed.
for room in 0 1 3 5 9; do
  head -c $((($(df --output=avail -k "$work/disk" | tail -n 1) - 4 * room) * 1024)) /dev/zero >"$work/disk/rest"
  for store in store new; do
    rm -f "$work/disk"/new.db*
    status=0
    "$build/esrun" --project "$root/examples/document" --store "$work/disk/$store.db" exec Document/late create title=Late \
      "content=$text$text" --as user:alice >/dev/null 2>"$work/error" || status=$?
    ((status == 7)) || fail "opening $store.db on a full disk exits with $status, wanted 7: $(cat "$work/error")"
    grep -qi 'the disk is full' "$work/error" || fail "opening $store.db with $room pages left: $(cat "$work/error")"
  done
  rm -f "$work/disk/rest" "$work/disk"/new.db*
done
esrun verify >/dev/null || fail "verify does not pass after the disk was full again"
echo "full after $acknowledged commands, none lost"
