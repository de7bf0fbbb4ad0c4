"""The folder of a new domain: a code location that loads, its dbt project, and the tests that come with it."""

from __future__ import annotations

from platform_core.contracts import naming
from platform_core.transformation.starting.dbt_text import IGNORED, profile_text, project_name, project_text
from platform_core.transformation.starting.domain_tests import domain_conftest, domain_test

VERSION = "0.1.0"


def domain_files(domain: str, description: str, owner: str, product: str | None) -> dict[str, str]:
    """Path from the repository's root to the text of each file of a new domain, without products and without a dbt project.

    Args:
        domain: Its name.
        description: What it is about, in one line.
        owner: E-mail address of who answers for it.
        product: Its first product, for the table in the README.
    """
    root = f"domains/{domain}"
    package = f"{root}/src/{domain}"
    return {
        f"{root}/README.md": _readme(domain, description, owner, product),
        f"{root}/pyproject.toml": _PYPROJECT.format(domain=domain, version=VERSION),
        f"{package}/__init__.py": f'"""The {domain} domain."""\n',
        f"{package}/definitions.py": _DEFINITIONS.format(domain=domain),
        f"{package}/defs/__init__.py": "",
        f"{package}/defs/transformation/defs.yaml": "type: platform_core.DbtProject\n",
        f"{root}/tests/conftest.py": domain_conftest(domain),
        f"{root}/tests/test_{domain}.py": domain_test(domain),
    }


def dbt_files(domain: str) -> dict[str, str]:
    """The files of a dbt project without models."""
    root = f"dbt_projects/{project_name(domain)}"
    return {
        f"{root}/.gitignore": IGNORED,
        f"{root}/dbt_project.yml": project_text(domain),
        f"{root}/profiles.yml": profile_text(domain),
    }


def _readme(domain: str, description: str, owner: str, product: str | None) -> str:
    row = f"| `{domain}.{product}` | `{product}` | `{naming.port_schema(f'{domain}.{product}')}.{product}` |\n" if product else ""
    table = f"| product | port | read it as |\n|---|---|---|\n{row}\n" if product else ""
    made = [
        (f"airbyte/{domain}/", "connections and file drops", f"-> {naming.raw_schema(domain)}.*"),
        (f"dbt_projects/{project_name(domain)}/", "SQL models", f"-> {naming.build_schema(domain)}.*"),
        (f"src/{domain}/defs/<product>/", "contract, audit, publication", f"-> {domain}_<product>.*"),
    ]
    first, second = (max(len(row[at]) for row in made) for at in (0, 1))
    listed = "\n".join(f"{path:<{first}}  {what:<{second}}  {where}" for path, what, where in made)
    return f"""\
# The domain {domain}

{description}

{table}- **Ask** {owner}.

## How it is made
```
{listed}
{"tests/":<{first}}  builds and publishes every product from example rows: ./mesh test domains/{domain}
```
`./mesh new source {domain}/NAME` adds a source, `./mesh new product {domain}.NAME` a product. `./mesh lint`, `./mesh plan`, `./mesh apply`.
"""


_PYPROJECT = """\
[project]
name = "{domain}"
version = "{version}"
description = "Code location of the {domain} domain."
requires-python = ">=3.11,<3.14"
dependencies = ["platform-core"]

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
packages = ["src/{domain}"]

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "{domain}"
code_location_target_module = "{domain}.definitions"

# The location's name also for `dagster dev` and `dagster definitions validate` in this folder.
[tool.dagster]
module_name = "{domain}.definitions"
code_location_name = "{domain}"
"""

_DEFINITIONS = '''\
"""The code location of the {domain} domain."""

from platform_core.orchestration import code_location

defs = code_location(__file__)
'''
