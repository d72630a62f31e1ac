"""Docstrings for the reference: those put together at import, and doctests that stand in the running text."""

import inspect
import re
from importlib import import_module

import griffe

_DOCTEST = re.compile(r"^([ \t]*)>>> .*(?:\n(?!\s*$).*)*", re.MULTILINE)
_EXAMPLES = re.compile(r"^\s*Examples\n\s*-+$", re.MULTILINE)


class RuntimeDocstrings(griffe.Extension):
    """Change what griffe has read from the files."""

    def on_class_instance(self, *, cls, **rest):  # noqa: ARG002 - griffe's signature
        """Take the docstring of a class with the decorator `documented` from the class itself."""
        if any("documented" in str(decorator.value) for decorator in cls.decorators):
            value = getattr(import_module(cls.module.path), cls.name)
            cls.docstring.value = inspect.getdoc(value)

    def on_instance(self, *, obj, **rest):  # noqa: ARG002
        """Make blocks of code of the doctests outside a section of examples, which griffe takes for text."""
        if obj.docstring is not None:
            text = obj.docstring.value
            section = _EXAMPLES.search(text)
            end = section.start() if section else len(text)
            fenced = _DOCTEST.sub(lambda m: f"{m[1]}```pycon\n{m[0]}\n{m[1]}```", text[:end])
            obj.docstring.value = fenced + text[end:]
