#!/usr/bin/env bash
# tour: copies the document example, runs it on a real store and looks at that store with the command. Called by `./dev demo`.
# Usage: tour.sh BUILD FOLDER, where FOLDER is replaced.
set -euo pipefail
build=$(realpath "$1") folder=$2
examples=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

rm -rf "$folder"
cp -R "$examples/document" "$folder"
cd "$folder"
export PATH=$build:$PATH LUA_PATH="$build/lua/?.lua;;"

show() {
  printf '\n$ %s\n' "$*"
  "$@"
}

lua5.4 demo.lua

printf '\n--- The same store, seen with the esrun command ---\n'
show esrun log
event=$(esrun log --output jsonl --limit 1)
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" <<<"$event"; }
show esrun show "$(field aggregate_type)/$(field aggregate_id)"
show esrun trace "$(field correlation_id)"
show esrun verify

cat <<TEXT

The project is in $folder: aggregates/document.lua holds the rules, demo.lua drives it.
Go on there, for example:
  export PATH=$build:\$PATH
  cd $folder
  esrun exec $(field aggregate_type)/$(field aggregate_id) edit new_content="My own words" --as user:me --role editor
  esrun help
Then read docs/guide/first-project.md. ./dev test runs every test.
TEXT
