#!/bin/sh
# Starts a process of the mesh in a container. The root file system is read-only, MESH_HOME is an empty writable folder;
# what the build baked for it (dbt manifests) is copied in first. The mark is copied last: a copy that was killed is redone.
set -eu
if [ -f "$MESH_BAKED/.baked" ] && ! cmp -s "$MESH_BAKED/.baked" "$MESH_HOME/.baked"; then
  rm -f "$MESH_HOME/.baked"
  tar -C "$MESH_BAKED" --exclude=./.baked -cf - . | tar -C "$MESH_HOME" --no-overwrite-dir -xf -
  cp "$MESH_BAKED/.baked" "$MESH_HOME/.baked"
fi
exec "$@"
