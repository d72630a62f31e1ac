r"""Mathematics as MathML, made when the site is built: `$…$` in a line, `$$…$$` and ```` ```math ```` as blocks.

The pages write the LaTeX that GitHub renders. Browsers lay out MathML without a script, with a font of the machine.
"""

import re
from functools import lru_cache
from xml.etree import ElementTree

from latex2mathml.converter import convert
from markdown import Extension
from markdown.blockprocessors import BlockProcessor
from markdown.inlinepatterns import InlineProcessor

NAMESPACE = "http://www.w3.org/1998/Math/MathML"
ElementTree.register_namespace("", NAMESPACE)
# Before backslash escapes (180) and after code (190), so that `\,` is mathematics and `$` in code is not.
_INLINE, _PRIORITY = r"(?<![\\$\w])\$(?![\s$])([^$`]+?)(?<![\s\\])\$(?![\w$])", 185
# What latex2mathml does not know, in words that it does.
_REWRITTEN = (
    (r"\\(begin|end)\{aligned\}", r"\\\1{align*}"),
    (r"\\arg\s*\\min", r"\\operatorname{arg min}"),
    (r"\\mathrm\{(\w+)\}", r"\\operatorname{\1}"),
)
_OPENING, _CLOSING = "[({|⌈⌊‖", "])}|⌉⌋‖"
_RELATIONS = "~⟹"  # operators that latex2mathml writes as identifiers, without space around them
_OPERANDS = {f"{{{NAMESPACE}}}{name}" for name in ("mi", "mn", "msub", "msup", "mfrac", "mrow")}
_NAMES = {"mi": re.compile(r"[A-Za-z]{2,}"), "mo": re.compile(r"[A-Za-z]+( [a-z]+)?")}


class MathExtension(Extension):
    """Markdown with `$…$` and `$$…$$`."""

    def extendMarkdown(self, md):  # noqa: N802 - Markdown's name
        """Register both forms."""
        md.inlinePatterns.register(_Inline(_INLINE, md), "math", _PRIORITY)
        md.parser.blockprocessors.register(_Display(md.parser), "math", 175)


class _Inline(InlineProcessor):
    def handleMatch(self, m, data):  # noqa: ARG002, N802
        return self.md.htmlStash.store(mathml(m.group(1))), m.start(0), m.end(0)


class _Display(BlockProcessor):
    def test(self, parent, block):  # noqa: ARG002
        return block.startswith("$$") and block.rstrip().endswith("$$")

    def run(self, parent, blocks):
        box = ElementTree.SubElement(parent, "p")
        box.text = self.parser.md.htmlStash.store(display(blocks.pop(0).strip().strip("$")))


def fence(source, language, css_class, options, md, **rest):  # noqa: ARG001 - the signature of superfences
    """Return a ```` ```math ```` block as HTML."""
    return display(source)


def display(latex: str) -> str:
    """Return mathematics on lines of its own, in a box that scrolls where the line is too long for the screen."""
    return f'<div class="math-box" tabindex="0">{mathml(latex, "block")}</div>'


@lru_cache(maxsize=4096)
def mathml(latex: str, mode: str = "inline") -> str:
    """Return LaTeX as a MathML element that follows MathML Core, which is what browsers implement."""
    for old, new in _REWRITTEN:
        latex = re.sub(old, new, latex)
    root = ElementTree.fromstring(convert(" ".join(latex.split()), display=mode))
    _tidy(root)
    return ElementTree.tostring(root, encoding="unicode").replace(f' xmlns="{NAMESPACE}"', "")


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _tidy(element: ElementTree.Element) -> None:
    """Write in the terms of MathML Core what latex2mathml says in those of older versions."""
    for child in element:
        _tidy(child)
    if element.tag == _tag("mtable"):
        _align_columns(element)
    elif element.tag == _tag("mi") and element.text in tuple(_RELATIONS):
        element.tag, element.text = _tag("mo"), element.text.replace("~", "∼")
    elif element.tag == _tag("mover") and element.get("accent"):
        element[1].set("stretchy", "false")  # a hat of its usual size, not one as wide as the letter
    elif element.tag in {_tag("mrow"), _tag("mtd"), _tag("math")}:
        _group_fences(element)
        _space_names(element)
        _mark_signs(element)


def _align_columns(table: ElementTree.Element) -> None:
    """Give each column a class, since MathML Core leaves alignment to style sheets."""
    pairs = table.get("columnspacing", "").startswith("0em")
    table.set("class", "aligned" if pairs else "matrix")
    for name in ("columnspacing", "rowspacing"):
        table.attrib.pop(name, None)
    for cell in table.iter(_tag("mtd")):
        where = cell.attrib.pop("columnalign", None)
        if where:
            cell.set("class", where)


def _group_fences(row: ElementTree.Element) -> None:
    """Put a matrix and its brackets into a row of their own, so that the brackets grow as high as the matrix."""
    children = list(row)
    for left, table, right in zip(children, children[1:], children[2:], strict=False):
        if table.tag == _tag("mtable") and left.text in tuple(_OPENING) and right.text in tuple(_CLOSING):
            group = ElementTree.Element(_tag("mrow"))
            for fence, form in ((left, "prefix"), (right, "postfix")):
                fence.attrib.update(stretchy="true", fence="true", form=form)
            row.insert(list(row).index(left), group)
            for child in (left, table, right):
                row.remove(child)
                group.append(child)


def _space_names(row: ElementTree.Element) -> None:
    """Put a thin space between the name of a function and an argument without brackets: ln a."""
    for i, child in reversed(list(enumerate(row))):
        last = child[0] if child.tag in {_tag("msub"), _tag("msup"), _tag("munder")} else child
        name = _NAMES.get(last.tag.removeprefix(f"{{{NAMESPACE}}}"))
        if name is None or not name.fullmatch(last.text or ""):
            continue
        last.tag = _tag("mi")
        last.set("mathvariant", "normal")
        following = row[i + 1] if i + 1 < len(row) else None
        if following is not None and following.tag not in {_tag("mo"), _tag("mspace")}:
            row.insert(i + 1, ElementTree.Element(_tag("mspace"), width="0.167em"))
        before = row[i - 1] if i else None
        operand = before is not None and (before.tag in _OPERANDS or before.text in tuple(_CLOSING))
        if operand:
            row.insert(i, ElementTree.Element(_tag("mspace"), width="0.167em"))


def _mark_signs(row: ElementTree.Element) -> None:
    """Make a minus or plus that follows an operator a sign, which has no space after it: = -1."""
    before = None
    for child in row:
        if child.tag == _tag("mo") and child.text in ("−", "+"):
            follows = before is None or (before.tag == _tag("mi") and not before.text)
            if follows or (before.tag == _tag("mo") and before.text not in tuple(_CLOSING)):
                child.set("form", "prefix")
        if child.tag != _tag("mspace"):
            before = child
