#!/usr/bin/env bash
# Build sdist and wheel twice, without a network, in two folders, time zones and languages: both
# must have the same bytes, and the wheel must be built from the sdist alone.
#
#   PYTHON   the interpreter to use (default: python3)
#   WORK     where environment, packages and both builds go (default: .venv-reproducible)
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mkdir -p "${WORK:-.venv-reproducible}" && cd "${WORK:-.venv-reproducible}" && pwd)
tools=$work/tools/bin/python
[ -x "$tools" ] || "${PYTHON:-python3}" -m venv "$work/tools"
"$tools" -m pip install --quiet --upgrade "pip>=24" "build>=1.2"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

# What the build needs is fetched here; from then on there is no network.
rm -rf "$work/packages" "$work/first" "$work/the second"
"$tools" -c 'from build import ProjectBuilder
print(*sorted(ProjectBuilder(".").build_system_requires), sep="\n")' >"$work/requires.txt"
"$tools" -m pip download --quiet --only-binary :all: --dest "$work/packages" -r "$work/requires.txt"
offline=(unshare --map-root-user --net)
"${offline[@]}" true 2>/dev/null || {
  echo "no network namespaces here: only pip is kept from the network" >&2
  offline=()
}

# build FOLDER VARIABLES...: the files that git knows, copied to a folder, become sdist and wheel.
build() {
  mkdir -p "$work/$1/source" "$work/$1/tmp"
  git ls-files -z | xargs -0 cp --parents -t "$work/$1/source"
  (
    cd "$work/$1/source"
    env -u PIP_FIND_LINKS "${@:2}" "TMPDIR=$work/$1/tmp" PIP_NO_INDEX=1 \
      "PIP_FIND_LINKS=file://${work// /%20}/packages" \
      "${offline[@]}" "$tools" -m build --outdir "$work/$1/dist" . >"$work/$1/build.log" 2>&1
  ) || { tail -n 30 "$work/$1/build.log" >&2; exit 1; }
}
build first TZ=UTC LC_ALL=C
build "the second" TZ=Pacific/Auckland LC_ALL=C.UTF-8

different=0
for file in "$work"/first/dist/*; do
  cmp "$file" "$work/the second/dist/$(basename "$file")" || different=1
done
(cd "$work/first/dist" && sha256sum -- *)
exit $different
