#!/bin/sh
# Lays out the part of the repository one image holds.
#
#   select_sources.sh DOMAIN FROM TO     DOMAIN is a folder of domains/, or "platform" for no domain's code
#
#   TO/projects   pyproject files and the lock: what the dependencies are made of (changes seldom: an image layer of its own)
#   TO/sources    the same layout as the repository: platform_core, the domain's own code and dbt project, and of every domain
#                 what it declares (*.odps.yaml, *.odcs.yaml, airbyte/): the mesh is checked as a whole, no code is shared.
#                 Connection files name their secrets by ${ENV} and hold none.
set -eu
domain=$1
mkdir -p "$3/projects" "$3/sources"
projects=$(cd "$3/projects" && pwd)
sources=$(cd "$3/sources" && pwd)
cd "$2"

if [ "$domain" != platform ] && [ ! -f "domains/$domain/pyproject.toml" ]; then
  echo "select_sources: no domain '$domain' in $PWD/domains; give --build-arg DOMAIN=<folder of domains/>" >&2
  exit 2
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# put TARGET FIND-ARGUMENTS...: copies what find selects, with its folders. In steps, not a pipe: sh sees only a pipe's last failure.
put() {
  target=$1
  shift
  find "$@" -print0 >"$work/files"
  tar --create --file "$work/files.tar" --no-recursion --null --files-from "$work/files"
  tar --extract --file "$work/files.tar" --directory "$target"
}

for target in "$projects" "$sources"; do
  # uv wants every member of the workspace to be a project, also those that are not installed.
  put "$target" pyproject.toml uv.lock platform_core/pyproject.toml domains/*/pyproject.toml -type f
done
put "$sources" workspace.yaml -type f
put "$sources" platform_core/src -name __pycache__ -prune -o -type f
put "$sources" domains -name '*.od[pc]s.yaml' -type f
put "$sources" domains -maxdepth 1 -name masking.yaml -type f
put "$sources" airbyte -name '.*' -prune -o -type f
if [ "$domain" != platform ]; then
  put "$sources" "domains/$domain" \( -name __pycache__ -o -name '.*' -o -path "domains/$domain/tests" \) -prune -o -type f
  project=dbt_projects/${domain}_dbt
  if [ -d "$project" ]; then
    put "$sources" "$project" \( -name '.*' -o -path "$project/target" -o -path "$project/logs" \) -prune -o -type f
  fi
fi
