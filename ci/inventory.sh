#!/usr/bin/env bash
# Which packages pip installs for fasttsne (an SBOM in the format CycloneDX), and their licences.
#
#   bash ci/inventory.sh [WHEEL]   the package: a file (default: this checkout, which is compiled)
#
#   EXTRAS   "all": with all optional packages but those for tests, documentation and style
#   PYTHON   the interpreter to use (default: python3)
#   WORK     where environments go (default: .venv-inventory)
#   OUTPUT   where both lists go: sbom.cdx.json and licences.rst (default: .venv-inventory)
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mkdir -p "${WORK:-.venv-inventory}" && cd "${WORK:-.venv-inventory}" && pwd)
output=$(mkdir -p "${OUTPUT:-$work}" && cd "${OUTPUT:-$work}" && pwd)
python=$work/installed/bin/python
[ -x "$work/tools/bin/python" ] || "${PYTHON:-python3}" -m venv "$work/tools"
# Without pip, which would be listed as a part of fasttsne.
[ -x "$python" ] || "${PYTHON:-python3}" -m venv --without-pip "$work/installed"
install() { "$work/tools/bin/python" -m pip --python "$python" install --quiet "$@"; }
"$work/tools/bin/python" -m pip install --quiet --upgrade "pip>=24" \
  "cyclonedx-bom>=7" "pip-licenses>=5"
install "${1:-.}"

if [ "${EXTRAS:-}" = all ]; then
  extras=$(cd "$work" && "$python" -c '
from importlib.metadata import metadata
print(*sorted({*metadata("fasttsne").get_all("Provides-Extra")} - {"test", "lint", "docs", "browser"}))')
  # One that needs a compiler, or has no wheel yet, must not take the others with it.
  for extra in $extras; do
    install "fasttsne[$extra]" 2>"$work/pip.log" ||
      echo "COULD NOT BE INSTALLED, so it is not listed: $extra" >&2
  done
fi

# cyclonedx-py takes no version that the build finds out ("dynamic"), but one that is written down.
version=$(cd "$work" && "$python" -c 'import importlib.metadata as m; print(m.version("fasttsne"))')
sed "s/^dynamic = .*/version = \"$version\"/" pyproject.toml >"$work/pyproject.toml"
"$work/tools/bin/cyclonedx-py" environment --pyproject "$work/pyproject.toml" --mc-type library \
  --output-reproducible --output-file "$output/sbom.cdx.json" "$python"
# Otherwise pip-licenses leaves out what it uses itself, such as wcwidth, wherever it is installed.
licences=("$work/tools/bin/pip-licenses" --python "$python" --from mixed --with-system)
"${licences[@]}" --with-urls --format rst --output-file "$output/licences.rst"
"${licences[@]}" --summary
# Nobody who installs fasttsne alone should have to think about its dependencies' licences.
"${licences[@]}" --packages fasttsne numpy scipy --partial-match --fail-on "GNU;GPL" >"$work/required.txt"
