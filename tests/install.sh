#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# tests/install.sh CMAKE BUILD_FOLDER VERSION: what "cmake --install" of a build puts in place is
# complete, readable and works from there.
set -eu
cmake=$1 build=$2 version=$3
sources=$(cd "$(dirname "$0")/.." && pwd)
prefix=$build/installed

fail() {
	echo "$*" >&2
	exit 1
}

# installed FILE SOURCE: FILE is there, for everybody to read, and is the same as SOURCE.
installed() {
	[ -s "$prefix/$1" ] || fail "$1 was not installed"
	[ -n "$(find "$prefix/$1" -perm -444)" ] || fail "$1 is not for everybody to read"
	cmp -s "$prefix/$1" "$sources/$2" || fail "$1 is not $2"
}

rm -rf "$prefix"
"$cmake" --install "$build" --prefix "$prefix" >/dev/null

for page in "$sources"/tools/package/*.8; do
	installed "share/man/man8/${page##*/}" "tools/package/${page##*/}"
done
installed share/man/man8/leakbpf.8 tools/package/leakbpf.8
installed share/bash-completion/completions/leakbpf tools/package/leakbpf.bash
installed share/zsh/site-functions/_leakbpf tools/package/_leakbpf
installed share/doc/leakbpf/LICENSE LICENSE
installed share/doc/leakbpf/README.md README.md

[ -x "$prefix/bin/leakbpf" ] || fail "bin/leakbpf was not installed"
said=$("$prefix/bin/leakbpf" --version)
[ "$said" = "leakbpf $version" ] || fail "bin/leakbpf --version says '$said', not '$version'"

# It needs no library of the build, and bash finds its completion by the name of the command.
! LC_ALL=C ldd "$prefix/bin/leakbpf" 2>/dev/null | grep -e "$build" -e "not found" ||
	fail "bin/leakbpf can not run without the build"
bash -c '. "$0" && complete -p leakbpf' \
	"$prefix/share/bash-completion/completions/leakbpf" >/dev/null ||
	fail "the completion of bash is none of leakbpf"
rm -rf "$prefix"
echo "leakbpf $version is installed completely"
