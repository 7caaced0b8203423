#!/bin/bash
# linter.sh VERSION FILE puts golangci-lint of that version at FILE.
set -euo pipefail
version=$1 file=$2
mkdir -p "$(dirname "$file")"

for installed in "$(command -v golangci-lint || true)" "$(go env GOBIN)/golangci-lint" "$(go env GOPATH)/bin/golangci-lint"; do
  if [[ -x $installed ]] && [[ $("$installed" version 2>/dev/null) == *"version $version "* ]]; then
    echo "linter: using $installed, version $version" >&2
    cp "$installed" "$file.new" && mv "$file.new" "$file"
    exit 0
  fi
done

echo "linter: building golangci-lint $version from source; this takes some minutes, once" >&2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
if ! GOBIN=$folder go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$version"; then
  echo "linter: golangci-lint $version could not be built: it takes a network, or the program itself in PATH" >&2
  exit 1
fi
mv "$folder/golangci-lint" "$file"
