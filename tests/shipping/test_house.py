"""The house itself: imports go one way, files stay small, objects are whole, and tests lie where they belong."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT, TESTS

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
MODULES = sorted((ROOT / "bridge").rglob("*.py"))


@pytest.mark.real
def test_imports_go_one_way():
    """The contracts of import-linter hold: layers, the emulator alone, SQL in the ledger only, pure rooms pure."""
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


each_module = pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))


@each_module
def test_a_module_is_seen_at_a_glance(module):
    """No file is over 400 lines, and each begins with what it is for."""
    text = module.read_text()
    assert text.startswith('"""')
    assert len(text.splitlines()) <= 400


UNCLEAR = re.compile(
    r"(?i:\b(?:stumbled|goes\s+on|nobody|whoever)\b)|(?<![A-Z])(?:MOST|LARGEST|LONGEST|LEAST|DEEPEST)_"
)
"""Words that need a second reading, and prefixes of constants for which the field says MAX and MIN."""


@each_module
def test_a_module_is_written_in_plain_words(module):
    """Sentences name their subject, and the names of limits begin with MAX or MIN."""
    assert UNCLEAR.findall(module.read_text()) == []


@each_module
def test_a_silenced_rule_has_its_reason(module):
    """Each `noqa` names its rules and gives a reason that can be understood without other lines."""
    silenced = [line for line in module.read_text().splitlines() if "noqa" in line]
    reasoned = re.compile(r"# noqa: [A-Z]+\d+(?:, [A-Z]+\d+)* - (?!as )\S")
    assert [line for line in silenced if not reasoned.search(line)] == []


def test_the_package_is_seen_at_a_glance():
    """`ls bridge` shows at most 25 names, and one more once `reconcile` is there."""
    files = [path.relative_to(ROOT / "bridge") for path in (ROOT / "bridge").rglob("*") if path.is_file()]
    names = {path.parts[0] for path in files if "__pycache__" not in path.parts}
    assert len(names) <= 25 + ("reconcile" in names), sorted(names)


def test_the_lock_files_pin_and_hash_everything():
    """Every dependency is pinned with hashes, and no registry is named."""
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        for line in text.splitlines():
            assert line.startswith("    --hash=sha256:") or "==" in line, line


@pytest.mark.parametrize("name", ["docs/guarantees.md", "SECURITY.md"])
def test_every_promise_names_a_test_that_exists(name):
    """Each test that the guarantees and the threat model name is there, and each row but the physical one names one."""
    text = (ROOT / name).read_text(encoding="utf-8")
    there = {found for file in TESTS.rglob("test_*.py") for found in re.findall(r"def (test_\w+)", file.read_text())}
    assert set(re.findall(r"`(test_\w+)`", text)) <= there
    heads = ("| Situation", "| An attacker could", "| ---")
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith(heads)]
    assert [row for row in rows if "`test_" not in row and "by construction" not in row] == []


def test_every_situation_in_step_is_a_promise():
    """The guarantees name each test of what is held in step with Alertmanager, and of heartbeats."""
    files = [*TESTS.glob("end_to_end/test_in_step_*.py"), *TESTS.glob("reconcile/heartbeats/test_*.py")]
    shown = {found for file in files for found in re.findall(r"def (test_\w+)", file.read_text())}
    assert shown
    assert shown <= set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "guarantees.md").read_text()))


def assigned(function):
    """Give the names of the attributes that a method sets on its object."""
    return {
        node.attr
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


def declared(body):
    """Give the names that a class sets or, where it has no ``__init__`` of its own, annotates in its body."""
    has_init = any(isinstance(node, ast.FunctionDef) and node.name == "__init__" for node in body)
    names = set()
    for node in body:
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and (node.value or not has_init):
            names.add(node.target.id)
        elif isinstance(node, ast.FunctionDef) and node.name == "__init__":
            names |= assigned(node)
    return names


def set_at_init(node):
    """Give the names that ``__init__`` sets through methods of its own class."""
    methods = {one.name: one for one in node.body if isinstance(one, FUNCTIONS)}
    init = methods.get("__init__")
    called = {
        one.func.attr
        for one in ast.walk(init or ast.Module([], []))
        if isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute) and one.func.attr in methods
    }
    return set().union(*(assigned(methods[name]) for name in called))


def classes():
    """Give each class of the bridge: its module and its node."""
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.ClassDef):
                yield str(module.relative_to(ROOT)), node


def test_an_object_is_whole_after_its_init():
    """Each attribute that a method sets is set in ``__init__`` or in the class as well: none is ever missing."""
    known = {node.name: node for _, node in classes()}
    late = {}
    for module, node in classes():
        lines, names = [node], set()
        while lines:
            one = lines.pop()
            names |= declared(one.body)
            lines += [known[base.id] for base in one.bases if isinstance(base, ast.Name) and base.id in known]
        methods = [one for one in node.body if isinstance(one, FUNCTIONS)]
        setters = {one.name for one in methods if any(getattr(d, "attr", "") == "setter" for d in one.decorator_list)}
        missing = set().union(*(assigned(one) for one in methods)) - names - setters - set_at_init(node)
        if missing:
            late.setdefault(module, set()).update(f"{node.name}.{name}" for name in missing)
    assert late == {}


TABLES = {"Metrics": "every metric of the bridge beside its help text and its presets"}
"""Classes that may be longer because they are tables, each with what it lists."""


def lines_of(node):
    """Give how many lines a function or class has."""
    return node.end_lineno - node.lineno + 1


def test_classes_are_small():
    """No class but a table has over 20 methods or 200 lines."""
    large = set()
    for _, node in classes():
        methods = [one for one in node.body if isinstance(one, FUNCTIONS)]
        if len(methods) > 20 or lines_of(node) > 200:
            large.add(node.name)
    assert large - TABLES.keys() == set()


def test_functions_are_small():
    """Nine functions of ten have at most 16 lines, signature and docstring included."""
    nodes = [node for module in MODULES for node in ast.walk(ast.parse(module.read_text()))]
    lengths = sorted(lines_of(node) for node in nodes if isinstance(node, FUNCTIONS))
    assert lengths[len(lengths) * 9 // 10] <= 16


STARTERS = {
    "process": {"serving", "started", "run", "alertmanager", "kept"},
    "replica_process": {"replica"},
    "programs": {"need"},
    "postgres": {"postgres_server", "pgbouncer"},
    "many_alerts": {"alertmanager"},
    "rehearsal": {"rehearse"},
    "endurance": {"endure"},
}
"""What of `tests/support/` starts a process or needs a real program, by its module."""
TEST_MODULES = sorted(TESTS.rglob("test_*.py"))


def words(node):
    """Give the names and parameters in a piece of code; an attribute of a fixture's name is none."""
    words_of = {ast.Name: "id", ast.arg: "arg"}
    return {getattr(one, words_of[type(one)]) for one in ast.walk(node) if type(one) in words_of}


def imports(tree):
    """Give what a module imports by name, anywhere in it: the other module, the name, and the name here."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module, one.name, one.asname or one.name) for one in node.names)
        elif isinstance(node, ast.Import):
            yield from ((one.name, "", one.asname or one.name) for one in node.names)


def starting(tree):
    """Give the names of the functions of a test module that start a process, or use one that does."""
    names = {"subprocess", "database", "postgres", "browser", "pages_world"}
    names |= {here for module, name, here in imports(tree) if name in STARTERS.get(module, ())}
    functions = [node for node in tree.body if isinstance(node, (*FUNCTIONS, ast.ClassDef))]
    while more := {node.name for node in functions if words(node) & names} - names:
        names |= more
    return names & {node.name for node in functions}


def test_tests_lie_in_the_folder_of_what_they_test():
    """No test lies at the top, and each place that names a test module names one that is there."""
    assert list(TESTS.glob("test_*.py")) == []
    named = re.findall(r"\w+/test_\w+\.py", (ROOT / "Makefile").read_text() + (TESTS / "conftest.py").read_text())
    assert [name for name in named if TESTS / name not in TEST_MODULES] == []
    assert len(named) > 10


@pytest.mark.parametrize("module", TEST_MODULES, ids=lambda path: str(path.relative_to(TESTS)))
def test_a_test_module_imports_no_other_and_marks_what_is_real(module):
    """What tests share lies in `support/`; a test that starts a process or needs a program has the mark `real`."""
    tree = ast.parse(module.read_text())
    assert [name for name, *_ in imports(tree) if name == "conftest" or name.startswith("test_")] == []
    marks = (ast.unparse(node) for node in tree.body if isinstance(node, ast.Assign))
    if any(mark.startswith("pytestmark = ") and "pytest.mark.real" in mark for mark in marks):
        return
    tests = [node for node in tree.body if getattr(node, "name", "").startswith("test_")]
    unmarked = [node for node in tests if "pytest.mark.real" not in map(ast.unparse, node.decorator_list)]
    assert {node.name for node in unmarked} & starting(tree) == set()
