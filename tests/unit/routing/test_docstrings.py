import doctest
import importlib
import pkgutil

import pytest

import routing

MODULES = [module.name for module in pkgutil.walk_packages(routing.__path__, "routing.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_modules_with_examples():
    examples = [
        test
        for name in MODULES
        for test in doctest.DocTestFinder().find(importlib.import_module(name))
        if test.examples
    ]
    assert len(examples) >= 20
