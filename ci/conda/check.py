"""Render the conda recipe for each platform, and compare it with the package that it is for.

    python ci/conda/check.py

Needs py-rattler-build; nothing is built.  What is wrong is printed, and the exit code is 1.
"""

import re
import sys
from pathlib import Path

import tomllib
from rattler_build import PlatformConfig, RenderConfig, Stage0Recipe, VariantConfig

ROOT = Path(__file__).parents[2]
PLATFORMS = ["linux-64", "linux-aarch64", "osx-64", "osx-arm64", "win-64"]
# What conda-forge pins for all packages: the recipe is rendered with one build for each Python.
VARIANTS = {"python": ["3.10.*", "3.14.*"], "c_compiler": ["gcc"], "c_stdlib": ["sysroot"]}


def main():
    """Check the recipe; return the exit code."""
    recipe = Stage0Recipe.from_file(ROOT / "ci/conda/recipe.yaml")
    for platform in PLATFORMS:
        config = RenderConfig(PlatformConfig(target_platform=platform))
        rendered = recipe.render(VariantConfig(VARIANTS), config)
        print(f"{platform}: {len(rendered)} builds")
    problems = [*compare(recipe.to_dict(), tomllib.loads((ROOT / "pyproject.toml").read_text()))]
    for problem in problems:
        print(f"  WRONG: {problem}")
    return 1 if problems else 0


def compare(recipe, project):
    """Version and requirements of the recipe are those of pyproject.toml."""
    version = re.search(r'__version__ = "(.+)"', (ROOT / "fasttsne/_version.py").read_text())[1]
    if recipe["context"]["version"] != version:
        yield f"it is for version {recipe['context']['version']}, the package is {version}"
    for part, wanted in (
        ("run", project["project"]["dependencies"]),
        ("host", project["build-system"]["requires"]),
    ):
        found = {
            item.replace(" ", "") for item in recipe["requirements"][part] if isinstance(item, str)
        }
        for requirement in sorted({item.lower() for item in wanted} - found):
            yield f"{part} lacks {requirement}"


if __name__ == "__main__":
    sys.exit(main())
