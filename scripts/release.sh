#!/bin/bash
# release.sh DIR OS/ARCH... builds the release of the checked-out commit into DIR: for each target an archive, for Linux
# also a Debian package, and SHA256SUMS. It runs on Debian and Ubuntu. The programs are built without cgo. The same
# commit, built by the same versions of Go and of Debian, yields the same bytes, wherever and whenever it is built.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C TZ=UTC0
umask 022

die() { echo "release: $*" >&2; exit 1; }

[[ $# -ge 2 ]] || die "say where to, and for which targets: scripts/release.sh dist linux/amd64"
out=$(realpath -m "$1")
targets=("${@:2}")
for tool in git go dpkg-deb sha256sum; do
  command -v "$tool" >/dev/null || die "$tool is missing"
done
[[ $(tar --version) == *GNU* ]] || die "GNU tar is missing"

# Nothing of the machine may reach the programs. -buildvcs makes Go write version, commit and time into them.
export GOFLAGS='' CGO_ENABLED=0 GOAMD64=v1 GOARM64=v8.0 GOEXPERIMENT=''
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A clone, because Go records no commit of a linked worktree, and so that nothing else of the checkout gets in.
repository=$(dirname "$0")/..
[[ -z $(git -C "$repository" status --porcelain) ]] || echo "release: uncommitted changes are not in it" >&2
git clone -q "$repository" "$work/source"
cd "$work/source"

# binary OS ARCH prints the path of the program for a target, which it builds at first use.
binary() {
  local file=$work/bin/$1_$2/sluice
  [[ -e $file ]] || GOOS=$1 GOARCH=$2 go build -trimpath -buildvcs=true -ldflags='-s -w' -o "$file" . >&2
  echo "$file"
}

# sluice runs the program of this machine without its user's settings.
sluice() { (cd "$work" && env -i HOME="$work" PATH="$PATH" "$host" "$@"); }

# licences prints the licence of Go and those of the modules in the programs, as they require.
licences() {
  local modules path version folder files
  modules=$(for target in "${targets[@]}"; do
    GOOS=${target%/*} GOARCH=${target#*/} go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' .
  done | sort -u)
  echo "sluice contains the Go standard library and the modules below. Their licences:"
  printf '\n==== Go ====\n\n'
  cat "$(go env GOROOT)/LICENSE"
  while read -r path version folder; do
    files=$(find "$folder" -maxdepth 1 -type f -iregex '.*/\(licen[cs]e\|copying\|notice\)[^/]*' | sort)
    [[ -n $files ]] || die "$path has no licence"
    for file in $files; do
      printf '\n==== %s %s: %s ====\n\n' "$path" "$version" "${file##*/}"
      cat "$file"
    done
  done <<<"$modules"
}

# archive OS ARCH FILE makes the archive for a target from its program.
archive() {
  local name=sluice_${version}_$1_$2
  mkdir "$work/$name"
  cp -r "$3" LICENSE README.md CHANGELOG.md "$work/shared"/{LICENSES-THIRD-PARTY,completions,man} "$work/$name"
  tar -C "$work" -c --format=ustar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --mode=u=rwX,go=rX --owner=0 --group=0 --numeric-owner \
    "$name" | gzip -n >"$out/$name.tar.gz"
}

# package ARCH FILE makes the Debian package from a program. It is not named sluice because Debian has another package
# of that name, with a higher version and the same /usr/bin/sluice.
package() {
  local tree=$work/deb_$1 doc=$work/deb_$1/usr/share/doc/sluiceworks
  install -D -m 755 "$2" "$tree/usr/bin/sluice"
  install -D -m 644 -t "$tree/usr/share/man/man1" "$work/shared/man/man1"/*
  install -D -m 644 -t "$doc" README.md CHANGELOG.md
  cat LICENSE "$work/shared/LICENSES-THIRD-PARTY" >"$doc/copyright"
  gzip -9 -n "$tree/usr/share/man/man1"/* "$doc/CHANGELOG.md"
  install -D -m 644 "$work/shared/completions/sluice.bash" "$tree/usr/share/bash-completion/completions/sluice"
  install -D -m 644 -t "$tree/usr/share/zsh/vendor-completions" "$work/shared/completions/_sluice"
  install -D -m 644 -t "$tree/usr/share/fish/vendor_completions.d" "$work/shared/completions/sluice.fish"
  local bytes
  bytes=$(find "$tree" -type f -printf '%s\n' | awk '{n += $1} END {print n}')
  mkdir "$tree/DEBIAN"
  # A tilde sorts before the end of a version, so that v1.0.0-rc.1 is older than v1.0.0.
  local deb_version=${version/-/\~}
  cat >"$tree/DEBIAN/control" <<END
Package: sluiceworks
Version: ${deb_version//-/.}
Architecture: $1
Maintainer: sluiceworks <sluiceworks@users.noreply.github.com>
Installed-Size: $(((bytes + 1023) / 1024))
Conflicts: sluice
Replaces: sluice
Recommends: ca-certificates
Section: utils
Priority: optional
Homepage: https://github.com/sluiceworks/sluice
Description: durable pipelines of tasks, on SQLite or PostgreSQL
 sluice runs pipelines of shell commands, HTTP requests and functions in Go.
 Every change of state commits in one transaction with the event that records
 it, so that the history is provably complete.
END
  dpkg-deb --root-owner-group -Zgzip -z6 --build "$tree" "$out/sluiceworks_${version}_$1.deb" >/dev/null
}

host=$(binary "$(go env GOHOSTOS)" "$(go env GOHOSTARCH)")
version=$(sluice version -o json | sed -n 's/^ *"version": "v\(.*\)",$/\1/p')
[[ -n $version ]] || die "Go did not record a version"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH # of the packages too

mkdir -p "$work/shared"/{completions,man/man1}
sluice man-pages "$work/shared/man/man1"
sluice completion bash >"$work/shared/completions/sluice.bash"
sluice completion zsh >"$work/shared/completions/_sluice"
sluice completion fish >"$work/shared/completions/sluice.fish"
licences >"$work/shared/LICENSES-THIRD-PARTY"

mkdir -p "$out"
rm -f "$out"/sluice_*.tar.gz "$out"/sluiceworks_*.deb "$out/SHA256SUMS"
for target in "${targets[@]}"; do
  os=${target%/*} arch=${target#*/}
  program=$(binary "$os" "$arch")
  archive "$os" "$arch" "$program"
  [[ $os != linux ]] || package "$arch" "$program"
done
cd "$out"
sha256sum sluice*_* >SHA256SUMS
cat SHA256SUMS
