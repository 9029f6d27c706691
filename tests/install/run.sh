#!/usr/bin/env bash
# run: installs a build into a folder of its own and uses it from there as its users do: C programs through pkg-config and
# find_package, plain lua5.4, the shell. Usage: run.sh BUILD. Exits 1 at the first thing that is not as it should be.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$(cd "$1" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
prefix=$scratch/prefix

fail() { printf 'install: %s\n' "$*" >&2; exit 1; }

# same WHAT EXPECTED ACTUAL
same() { [[ "$2" == "$3" ]] || fail "$1:"$'\n'"$(diff <(printf '%s\n' "$2") <(printf '%s\n' "$3"))"; }

cmake --install "$build" --prefix "$prefix" >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; fail "cmake --install failed"; }
library=$(dirname "$(find "$prefix" -name libesrun.so)") # lib, lib64 or lib/TRIPLET
export PKG_CONFIG_PATH=$library/pkgconfig LD_LIBRARY_PATH=$library CMAKE_PREFIX_PATH=$prefix

# ---- The shared library shows what esrun.h declares, and nothing else ----

declared=$(sed -n '/^ES_API/,/[;(]/p' "$prefix/include/esrun.h" | grep -oE '\bes_[a-z0-9_]+(\(|\[\])' | tr -d '([]' | sort -u)
exported=$(nm -D --defined-only "$library/libesrun.so" | awk '{print $3}' | sort -u)
same "the library's symbols differ from the header's (< declared, > exported)" "$declared" "$exported"
same "soname" "libesrun.so.0" "$(objdump -p "$library/libesrun.so" | awk '$1 == "SONAME" {print $2}')"
needed=$(objdump -p "$library/libesrun.so" | awk '$1 == "NEEDED" && $2 !~ /^lib(c|m)\.so/ {print $2}' | sort)
# covers C19
same "what the library needs beside the C library" "$(printf '%s\n' liblua5.4.so.0 libsqlite3.so.0 libuuid.so.1)" \
  "$needed"
same "the Lua module's symbols" "luaopen_esrun" \
  "$(nm -D --defined-only "$library/lua/5.4/esrun.so" | awk '{print $3}')"

# ---- C programs ----

# works PROGRAM: it does what the example says, and with the shared library alone.
works() {
  local out
  out=$("$1" "$root/examples/document" "$scratch/$2.db") || fail "$2: the program failed"
  same "$2" "create: version 1, 1 event
edit: version 2, 1 event
create: rejected: Document already exists
edit: denied: Access denied" "$(head -n 4 <<<"$out")"
}

read -ra flags <<<"$(pkg-config --cflags --libs esrun)"
cc -std=c11 -Wall -Werror "$root/examples/embed-c/main.c" -o "$scratch/shared" "${flags[@]}"
works "$scratch/shared" pkg-config
needed=$(objdump -p "$scratch/shared" | awk '$1 == "NEEDED" && $2 ~ /esrun|lua/ {print $2}')
same "what a program loads itself" "libesrun.so.0" "$needed"

read -ra flags <<<"$(pkg-config --static --cflags --libs esrun)"
cc -std=c11 "$root/examples/embed-c/main.c" -o "$scratch/static" "${flags[@]/#-lesrun/-l:libesrun.a}"
works "$scratch/static" pkg-config-static

# cmake_build NAME: as a reader of the example would, away from this project.
cp -R "$root/examples/embed-c" "$scratch/embed-c"
cmake_build() {
  { cmake -S "$scratch/embed-c" -B "$scratch/$1" -G Ninja && ninja -C "$scratch/$1"; } >"$scratch/log" 2>&1 && return 0
  cat "$scratch/log" >&2
  fail "$1 does not work"
}

cmake_build find_package
works "$scratch/find_package/embed_c" find_package

cat >"$scratch/embed-c/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(embed_c LANGUAGES C)
find_package(esrun 0.1 REQUIRED COMPONENTS static)
add_executable(embed_c main.c)
target_link_libraries(embed_c PRIVATE esrun::esrun_static)
CMAKE
cmake_build find_package-static
works "$scratch/find_package-static/embed_c" find_package-static

lua5.4 "$root/tests/install/guide.lua" "$root" docs/guide/embedding.md "$scratch/guide" || fail "the embedding guide is wrong"

# ---- Plain lua5.4 ----

said=$(env -i PATH="$PATH" LUA_PATH="$prefix/share/lua/5.4/?.lua;;" LUA_CPATH="$library/lua/5.4/?.so;;" \
  lua5.4 - "$root/examples/document" <<'LUA'
local es = require("esrun").open { project = arg[1], store = ":memory:" }
es.context.run({ actor_id = "user:jane", roles = { "editor" } }, function()
  es:execute("Document/notes", "create", { title = "Notes", content = "" })
end)
print(es:load("Document/notes").version)
LUA
) || fail "the Lua module does not work"
same "the Lua module" 1 "$said"

# ---- The command ----

said=$(env -i PATH="$prefix/bin:$PATH" NO_COLOR=1 esrun --project "$root/examples/document" --store "$scratch/shell.db" \
  exec Document/notes create title=Notes content=- --as user:jane --output jsonl) || fail "the command does not work"
[[ $said == *'"version":1'* ]] || fail "the command said: $said"

# ---- Its man page and completions: every command, from the command's own description ----

mapfile -t commands < <("$prefix/bin/esrun" help --output jsonl | sed -n 's/.*"command":"\([a-z-]*\)".*/\1/p')
((${#commands[@]} > 10)) || fail "esrun help names ${#commands[@]} commands"
for command in "${commands[@]}"; do
  grep -qx ".SS esrun $command" "$prefix/share/man/man1/esrun.1" || fail "the man page lacks $command"
  grep -qw -- "$command" "$(find "$prefix/share/zsh" -name _esrun)" || fail "zsh's completions lack $command"
  grep -qw -- "$command" "$prefix/share/fish/vendor_completions.d/esrun.fish" || fail "fish's completions lack $command"
done
LC_ALL=C grep -n '[^ -~]' "$prefix/share/man/man1/esrun.1" && fail "the man page is not plain ASCII"

# completed WORD...: what bash offers for the last word.
completed() {
  bash -c 'source "$1"; shift; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
    _esrun esrun "${!#}" ""; printf "%s " "${COMPREPLY[@]}"' - "$prefix/share/bash-completion/completions/esrun" "$@"
}
same "bash completes a command" "verify verify-proof " "$(completed esrun veri)"
same "bash completes a command's option" "--dry-run " "$(completed esrun exec --dr)"

echo "installed and used: libraries, packages, the guide, Lua module, command, man page, completions"
