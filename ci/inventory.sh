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
for name in tools installed; do
  [ -x "$work/$name/bin/python" ] || "${PYTHON:-python3}" -m venv "$work/$name"
done
python=$work/installed/bin/python
"$work/tools/bin/python" -m pip install --quiet "cyclonedx-bom>=7" "pip-licenses>=5"
"$python" -m pip install --quiet "${1:-.}"

if [ "${EXTRAS:-}" = all ]; then
  extras=$(cd "$work" && "$python" -c '
from importlib.metadata import metadata
print(*sorted({*metadata("fasttsne").get_all("Provides-Extra")} - {"test", "lint", "docs", "browser"}))')
  # One that needs a compiler, or has no wheel yet, must not take the others with it.
  for extra in $extras; do
    "$python" -m pip install --quiet "fasttsne[$extra]" 2>"$work/pip.log" ||
      echo "COULD NOT BE INSTALLED, so it is not listed: $extra" >&2
  done
fi

# Both leave out pip, which came with the environment.
"$work/tools/bin/cyclonedx-py" environment --pyproject pyproject.toml --mc-type library \
  --output-reproducible --output-file "$output/sbom.cdx.json" "$python"
"$work/tools/bin/pip-licenses" --python "$python" --from mixed --with-urls --format rst \
  --output-file "$output/licences.rst"
"$work/tools/bin/pip-licenses" --python "$python" --from mixed --summary
# Nobody who installs fasttsne alone should have to think about its dependencies' licences.
"$work/tools/bin/pip-licenses" --python "$python" --from mixed --packages fasttsne numpy scipy \
  --partial-match --fail-on "GNU;GPL" >"$work/required.txt"
