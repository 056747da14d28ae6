"""YAML as people mean it: YAML 1.2's core words, no duplicate keys, no tags, bounded size.

PyYAML follows YAML 1.1, where `1e-4` is text, `yes` is true, `010` is eight, `1:30` is ninety, and a key given
twice silently loses its first value. Here the text is only composed by PyYAML; the values are built below.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from search_spaces.errors import DocumentError
from search_spaces.wording import show

LONGEST_TEXT = 256 * 1024  # characters; no spec is a tenth of it, and PyYAML reads about 100 kB a second
MOST_VALUES = 10_000  # after aliases are written out, so that a few lines cannot become gigabytes
DEEPEST = 20

_TAG = "tag:yaml.org,2002:"


# YAML 1.2's core words: kind, pattern, and the characters that such a word may begin with
_WORDS = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
)


class _Loader(yaml.SafeLoader):
    """Composes nodes whose plain scalars are resolved as in YAML 1.2."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # PyYAML's own protocol


class _Dumper(yaml.SafeDumper):
    """Quotes text that a reader of YAML 1.1 or of 1.2 would take for something else; writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _kind, _pattern, _first in _WORDS:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_TAG + _kind, re.compile(f"(?:{_pattern})$"), _first)


def write_yaml(value: Any) -> str:
    """Write dicts, lists and scalars so that `read_yaml` returns equal ones (PyYAML reads U+0085 as a line break)."""
    return str(
        yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=100)
    )


def read_yaml(text: str, *, source: str) -> Any:
    """Read one YAML document into dicts with text keys, lists and scalars.

    Raises:
        DocumentError: naming `source`, the line and the rule.
    """
    if len(text) > LONGEST_TEXT:
        raise _error(source, None, f"the text must be at most {LONGEST_TEXT} characters, but has {len(text)}")
    try:
        node = yaml.compose(text, Loader=_Loader)
        return _Builder(source).build(node, DEEPEST) if node is not None else None
    except RecursionError:
        raise _error(source, None, f"values must be nested at most {DEEPEST} deep") from None
    except yaml.MarkedYAMLError as error:
        problem = " ".join(f"{error.problem or 'it cannot be read'}".split())
        raise _error(source, error.problem_mark, f"this is no YAML: {problem}") from None
    except yaml.YAMLError as error:
        raise _error(source, None, f"this is no YAML: {' '.join(str(error).split())}") from None


def _error(source: str, mark: Any, text: str) -> DocumentError:
    place = source if mark is None else f"{source}, line {mark.line + 1}, column {mark.column + 1}"
    return DocumentError.at("", f"{place}: {text}.")


class _Builder:
    """Turns nodes into values, counting them as aliases are followed."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._left = MOST_VALUES

    def build(self, node: yaml.Node, depth: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise _error(self._source, node.start_mark, f"a document must hold at most {MOST_VALUES} values")
        if depth == 0:
            raise _error(self._source, node.start_mark, f"values must be nested at most {DEEPEST} deep")
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, depth - 1)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.build(item, depth - 1) for item in node.value]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        raise self._unknown_tag(node)

    def _mapping(self, node: yaml.MappingNode, depth: int) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.build(key_node, depth)
            if not isinstance(key, str):
                fix = "put it in quotes" if isinstance(key_node, yaml.ScalarNode) else "write a word"
                raise _error(self._source, key_node.start_mark, f"a key must be text, but got {show(key)}; {fix}")
            if key == "<<":
                raise _error(self._source, key_node.start_mark, "merge keys (`<<`) are not read; write the keys out")
            if key in mapping:
                raise _error(self._source, key_node.start_mark, f"the key `{key}` is given twice; keep one")
            mapping[key] = self.build(value_node, depth)
        return mapping

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        build = _SCALARS.get(node.tag.removeprefix(_TAG))
        if build is None:
            raise self._unknown_tag(node)
        try:
            return build(node.value)
        except (ValueError, KeyError):  # an explicit tag that does not fit, or more digits than Python reads
            kind = node.tag.removeprefix(_TAG)
            raise _error(self._source, node.start_mark, f"{show(node.value)} cannot be read as {kind}") from None

    def _unknown_tag(self, node: yaml.Node) -> DocumentError:
        tag = show(node.tag.replace(_TAG, "!!"))
        return _error(self._source, node.start_mark, f"the tag {tag} is not read; write plain values")


def _whole(text: str) -> int:
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


_SCALARS: dict[str, Any] = {
    "str": str,
    "null": lambda text: {"~": None, "null": None, "": None}[text.lower()],
    "bool": lambda text: {"true": True, "false": False}[text.lower()],
    "int": _whole,
    "float": lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
}
