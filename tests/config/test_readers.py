"""Every key has a reader: some module of the program takes it from the model that holds it.

A key of the same name in another model is no reader, so each expression is followed to the model
that it holds: by annotations, by the names of the models' own keys, by assignments and loops.
"""

import ast
import functools
import inspect
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeGuard

import pytest
from pydantic import BaseModel

from config.settings import Settings, TrunkSettings
from config.values import Model

ROOT = Path(__file__).parents[2]
PROGRAM = ("config", "gateway", "sip", "testkit")

Models = frozenset[str]
NONE: Models = frozenset()


def parts(annotation: Any) -> Iterator[Any]:
    """The annotation and all that it is made of."""
    yield annotation
    for argument in typing.get_args(annotation):
        if argument is not Ellipsis and not isinstance(argument, str):
            yield from parts(argument)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    return [part for part in parts(annotation) if inspect.isclass(part) and is_model(part)]


def is_model(part: type) -> TypeGuard[type[BaseModel]]:
    return typing.get_origin(part) is None and issubclass(part, BaseModel)


def all_models(model: type[BaseModel] = Settings) -> dict[str, type[BaseModel]]:
    """Each model that a configuration is made of, by its class's name."""
    found = {model.__name__: model}
    for field in model.model_fields.values():
        for inner in models_in(field.annotation):
            found |= all_models(inner)
    return found


MODELS = all_models()
HOLDS = {
    (name, key): frozenset(inner.__name__ for inner in models_in(field.annotation))
    for name, model in MODELS.items()
    for key, field in model.model_fields.items()
}
#: What an annotation may say for a model: its own name, or that of a class which it is made from.
WORDS = {
    word.__name__: frozenset(name for name, model in MODELS.items() if issubclass(model, word))
    for one in MODELS.values()
    for word in one.__mro__
    if issubclass(word, Model) and word is not Model
}
METHODS = {("Settings", "trunk"): {"TrunkSettings"}, ("Settings", "number"): {"NumberSettings"}}


class Readers:
    """What one program reads of the models."""

    def __init__(self, sources: dict[str, str]) -> None:
        #: a class's attribute, or a function's result, wherever the class comes from
        self._attributes: dict[str, Models] = {}
        self.read: set[tuple[str, str]] = set()
        trees = [ast.parse(text, name) for name, text in sources.items()]
        for tree in trees:
            self._learn_attributes(tree)
        for tree in trees:
            self._read(tree)

    def _learn_attributes(self, tree: ast.Module) -> None:
        """`field: CallerIdSettings` of a class, as `trunk.field` is met in other modules."""
        for node in ast.walk(tree):
            if not isinstance(node, ast.ClassDef) or node.name in MODELS:
                continue
            for item in node.body:
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                    self._attributes[item.target.id] = self._attributes.get(
                        item.target.id, NONE
                    ) | named(item.annotation)

    def _read(self, tree: ast.Module) -> None:
        names: dict[str, Models] = {}
        for model in (n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)):
            if model.name in MODELS:
                names[f"self of {model.name}"] = frozenset({model.name})
                tell_selves(model)

        def put(target: ast.AST, models: Models) -> bool:
            word = last_word(target)
            if word is None or models <= names.get(word, NONE):
                return False
            names[word] = names.get(word, NONE) | models
            return True

        def held_by(node: ast.AST | None) -> Models:
            """The models that the expression may hold, or hold an iterable of."""
            match node:
                case ast.Name(id=word):
                    return names.get(word, NONE)
                case ast.Attribute(value=value, attr=attr):
                    holder = held_by(value)
                    if holder & MODELS.keys():
                        inner = (HOLDS.get((one, attr), NONE) for one in holder)
                        return NONE.union(*inner)
                    word = attr.lstrip("_")
                    return names.get(word, NONE) | self._attributes.get(attr, NONE)
                case ast.Call(func=ast.Attribute(value=value, attr=attr)):
                    holder = held_by(value)
                    made = {m for one in holder for m in METHODS.get((one, attr), ())}
                    return frozenset(made) or holder
                case ast.Call(func=ast.Name(id=word), args=arguments):
                    if word in MODELS:
                        return frozenset({word})
                    return names.get(word, NONE).union(*map(held_by, arguments))
                case ast.BoolOp(values=values):
                    return NONE.union(*map(held_by, values))
                case ast.IfExp(body=body, orelse=other):
                    return held_by(body) | held_by(other)
                case ast.Subscript(value=value) | ast.Await(value=value):
                    return held_by(value)
                case ast.GeneratorExp(elt=element) | ast.ListComp(elt=element):
                    return held_by(element)
            return NONE

        grown = True
        while grown:
            grown = False
            for node in ast.walk(tree):
                match node:
                    case ast.arg(arg=word, annotation=annotation) if annotation is not None:
                        grown |= put(ast.Name(word), named(annotation))
                    case ast.AnnAssign(target=target, annotation=annotation):
                        grown |= put(target, named(annotation))
                    case ast.FunctionDef(name=word, returns=returns) if returns is not None:
                        grown |= put(ast.Name(word), named(returns))
                    case ast.Assign(targets=targets, value=value):
                        for target in targets:
                            grown |= put_each(put, held_by, target, value)
                    case ast.NamedExpr(target=target, value=value):
                        grown |= put(target, held_by(value))
                    case (
                        ast.For(target=target, iter=value)
                        | ast.comprehension(target=target, iter=value)
                    ):
                        grown |= put_each(put, held_by, target, value)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                self.read |= {
                    (one, node.attr) for one in held_by(node.value) if (one, node.attr) in HOLDS
                }


def tell_selves(model: ast.ClassDef) -> None:
    """Give `self` in a model's own methods a name of its own. A validator's is no reader's."""
    methods = (item for item in model.body if isinstance(item, ast.FunctionDef))
    readers = (
        m for m in methods if not any("validator" in ast.unparse(d) for d in m.decorator_list)
    )
    for node in (node for method in readers for node in ast.walk(method)):
        if isinstance(node, ast.Name) and node.id == "self":
            node.id = f"self of {model.name}"


def put_each(put: Any, held_by: Any, target: ast.expr, value: ast.expr) -> bool:
    """`a, b = x, y` one by one; `a, b = f()`: either may be what `f` gives; `a = x` as it is."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        both = zip(target.elts, value.elts, strict=False)
        return any(put(one, held_by(what)) for one, what in both)
    parts = target.elts if isinstance(target, ast.Tuple) else [target]
    return any(put(one, held_by(value)) for one in parts)


def last_word(node: ast.AST) -> str | None:
    """`settings` of the name `settings` and of `self._settings`."""
    match node:
        case ast.Name(id=word):
            return word
        case ast.Attribute(attr=word):
            return word.lstrip("_")
    return None


def named(annotation: ast.AST) -> Models:
    """The models that an annotation names, in quotes or not, or what they are made from."""
    words = {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)}
    for node in ast.walk(annotation):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            words |= set(re.findall(r"\w+", node.value))
    return NONE.union(*(WORDS.get(word, NONE) for word in words))


@functools.cache
def program() -> Readers:
    sources = {
        str(path): path.read_text()
        for folder in PROGRAM
        for path in sorted((ROOT / folder).rglob("*.py"))
    }
    return Readers(sources)


def keys() -> list[tuple[str, str]]:
    """All that hold a value: a group of keys is read by its keys."""
    return [key for key, inner in HOLDS.items() if not inner]


def test_every_key_has_a_reader() -> None:
    unread = sorted(set(keys()) - program().read)
    assert unread == [], "no code reads these: give each a reader, or remove it and its docs"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("def f(s: Settings): return s.log.level", {("LogSettings", "level")}),
        ("def f(s: Settings):\n  log = s.log\n  return log.level", {("LogSettings", "level")}),
        ("class A:\n  def __init__(self, s: 'Settings'): self._all = s.log\n"
         "  def f(self): return self._all.format", {("LogSettings", "format")}),
        ("def f(s: Settings): return [t.name for t in s.trunks]", {("TrunkSettings", "name")}),
        ("def f(s: Settings): return s.number('+1').agent", {("NumberSettings", "agent")}),
        ("def f(s: Settings): return s.numbers.get('*').agent", {("NumberSettings", "agent")}),
        ("def f(s: Settings):\n  for number, entry in s.numbers.items(): entry.agent",
         {("NumberSettings", "agent")}),
        ("@dataclass\nclass T:\n  timer: SessionTimerSettings\ndef f(t: T): t.timer.mode",
         {("SessionTimerSettings", "mode")}),
        ("def f(s: TrunkSettings):\n  a, b = s.login, s.credentials\n  a.username",
         {("PeerLogin", "username")}),
        ("def f() -> tuple[str, NumberSettings]: ...\ndef g():\n  a, b = f()\n  b.agent",
         {("NumberSettings", "agent")}),
        ("class RetellSettings:\n  def own(self): return self.identify",
         {("RetellSettings", "identify")}),
        ("class LogSettings:\n  @property\n  def f(self): self.level", {("LogSettings", "level")}),
        # the same words of something else
        ("class LogSettings:\n  @model_validator(mode='after')\n  def f(self): self.level", set()),
        ("def f(level, log): log.level, level.format, '{}'.format(1)", set()),
        ("def f(s: Settings): s.caller_id.format", set()),
        ("def f(s: Settings): s.log", set()),
        ("def f(s: LogSettings): s.level = 1", set()),
        ("LogSettings(level='info')", set()),
    ],
)  # fmt: skip
def test_a_reader_is_told_from_its_namesakes(text: str, read: set[tuple[str, str]]) -> None:
    assert {key for key in Readers({"it.py": text}).read if not HOLDS[key]} == read


def test_models_are_all_known() -> None:
    assert {"Settings", "TrunkSettings", "Fallback", "ListenSettings", "LogSettings"} <= set(MODELS)
    assert TrunkSettings.__name__ in HOLDS["Settings", "trunks"]
