"""No module of the house imports itself, directly or through others."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

TRAINING = Path(__file__).parents[2] / "training"


def imports_of(folder, package):
    """{module: the modules of `package` that it imports, anywhere in its code}.

    Leaves out what is imported only for type checkers.
    """
    modules = {
        name_of(file.relative_to(folder)): file for file in folder.glob(f"{package}/**/*.py")
    }
    return {name: {*imported(file, modules)} - {name} for name, file in modules.items()}


def name_of(file):
    return ".".join(file.with_suffix("").parts).removesuffix(".__init__")


def imported(file, modules):
    todo = [ast.parse(file.read_text())]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            todo += node.orelse
            continue
        todo += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from {alias.name for alias in node.names} & modules.keys()
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield from {inner if inner in modules else node.module} & modules.keys()


def test_no_module_imports_itself_through_others():
    TopologicalSorter(imports_of(TRAINING, "savanna")).prepare()


def test_a_circle_is_found_inside_functions_and_not_in_type_annotations(tmp_path):
    package = tmp_path / "house"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "a.py").write_text("from house import b\n")
    (package / "b.py").write_text("if TYPE_CHECKING:\n    from house.a import A\n")
    TopologicalSorter(imports_of(tmp_path, "house")).prepare()
    (package / "b.py").write_text("def f():\n    from house.a import A\n")
    with pytest.raises(CycleError, match=r"house\.[ab]"):
        TopologicalSorter(imports_of(tmp_path, "house")).prepare()
