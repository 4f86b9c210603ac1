"""What can be said of Bicep files without Azure, and without its compiler, which no package registry has.

tree-sitter reads them. `problems` finds what the compiler would refuse (broken syntax, names that nobody declared,
modules called with the wrong parameters, files that are not there), and what its linter would warn of.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

__all__ = ["Bicep", "Module", "Resource", "pairs", "problems", "read", "read_text", "text_of"]

_PARSER = Parser(Language(tree_sitter_bicep.language()))
_LOADERS = ("loadTextContent", "loadJsonContent", "loadYamlContent", "loadFileAsBase64")
_NAMESPACES = {"az", "sys"}


@dataclass(frozen=True)
class Resource:
    symbol: str
    type: str
    version: str | None  # a child inside its parent's body takes its parent's
    is_existing: bool
    line: int


@dataclass(frozen=True)
class Module:
    symbol: str
    path: str
    parameters: tuple[str, ...]
    line: int


@dataclass
class Bicep:
    """One file: what it declares, and what it uses by name."""

    path: Path
    broken: list[int] = field(default_factory=list)
    parameters: dict[str, bool] = field(default_factory=dict)  # whether it has to be given
    variables: dict[str, int] = field(default_factory=dict)
    resources: list[Resource] = field(default_factory=list)
    modules: dict[str, Module] = field(default_factory=dict)
    outputs: set[str] = field(default_factory=set)
    used: dict[str, int] = field(default_factory=dict)
    undeclared: dict[str, int] = field(default_factory=dict)
    outputs_read: list[tuple[str, str, int]] = field(default_factory=list)  # of which module, which, line
    files_loaded: dict[str, int] = field(default_factory=dict)
    duplicates: list[tuple[str, int]] = field(default_factory=list)


def read_text(path: Path) -> Node:
    return _PARSER.parse(path.read_bytes()).root_node


def read(path: Path) -> Bicep:
    found = Bicep(path)
    root = read_text(path)
    found.broken = sorted({_line(node) for node in _all(root) if node.type == "ERROR" or node.is_missing})
    for node in _all(root):
        _declaration(node, found)
    declared = {*found.parameters, *found.variables, *found.modules} | {each.symbol for each in found.resources}
    _uses(root, declared, frozenset(_NAMESPACES), found)
    return found


def problems(path: Path) -> list[str]:
    """Sentences, each with the line it is about."""
    bicep = read(path)
    if bicep.broken:
        return [f"line {line}: this is not Bicep" for line in bicep.broken]
    said = [(line, f"nothing is called `{name}`") for name, line in bicep.undeclared.items()]
    said += [(line, f"`{name}` is declared twice") for name, line in bicep.duplicates]
    said += [(1, f"the parameter `{name}` is not used") for name in bicep.parameters if name not in bicep.used]
    said += [
        (line, f"the variable `{name}` is not used") for name, line in bicep.variables.items() if name not in bicep.used
    ]
    for name, line in bicep.files_loaded.items():
        if not (path.parent / name).is_file():
            said.append((line, f"there is no file {name}"))
        elif name.endswith(".json"):
            json.loads((path.parent / name).read_text("utf-8"))
    for module in bicep.modules.values():
        if not (path.parent / module.path).is_file():
            said.append((module.line, f"there is no module {module.path}"))
            continue
        taken = read(path.parent / module.path).parameters
        missing = [name for name, is_required in taken.items() if is_required and name not in module.parameters]
        said += [(module.line, f"the module {module.path} needs `{name}`") for name in missing]
        unknown = [name for name in module.parameters if name not in taken]
        said += [(module.line, f"the module {module.path} has no parameter `{name}`") for name in unknown]
    for symbol, output, line in bicep.outputs_read:
        called = path.parent / bicep.modules[symbol].path
        if called.is_file() and output not in read(called).outputs:
            said.append((line, f"the module {bicep.modules[symbol].path} has no output `{output}`"))
    return [f"line {line}: {sentence}" for line, sentence in sorted(said)]


def _declaration(node: Node, found: Bicep) -> None:
    kinds = ("parameter", "variable", "resource", "module", "output")
    if node.type not in {f"{kind}_declaration" for kind in kinds}:
        return
    symbol, line = text_of(node.named_children[0]), _line(node)
    declared = {*found.parameters, *found.variables, *found.modules} | {each.symbol for each in found.resources}
    if node.type != "output_declaration" and symbol in declared:
        found.duplicates.append((symbol, line))
    match node.type:
        case "parameter_declaration":
            found.parameters[symbol] = not any(child.type == "=" for child in node.children)
        case "variable_declaration":
            found.variables[symbol] = line
        case "output_declaration":
            found.outputs.add(symbol)
        case "resource_declaration":
            name, _, version = _string(node.named_children[1]).partition("@")
            is_existing = any(child.type == "existing" for child in node.children)
            found.resources.append(Resource(symbol, name, version or None, is_existing, line))
        case "module_declaration":
            body = next((each for each in _all(node) if each.type == "object"), None)
            params = next((value for key, value in pairs(body) if key == "params"), None)
            names = tuple(key for key, _ in pairs(params))
            found.modules[symbol] = Module(symbol, _string(node.named_children[1]), names, line)


def _uses(node: Node, declared: set[str], local: frozenset[str], found: Bicep) -> None:
    """Follows each name that is used to where it could come from: the file, a loop, a lambda."""
    children = node.named_children
    match node.type:
        case "decorators" | "type" | "import_statement" | "target_scope_assignment":
            return
        case "identifier":
            name = text_of(node)
            if name in local:
                return
            found.used.setdefault(name, _line(node))
            if name not in declared:
                found.undeclared.setdefault(name, _line(node))
            return
        case "parameter_declaration" | "variable_declaration" | "output_declaration":
            children = children[1:]
        case "resource_declaration" | "module_declaration":
            children = children[2:]
        case "object_property" if children[0].type == "identifier":
            children = children[1:]
        case "call_expression":
            if children[0].type == "identifier":
                if text_of(children[0]) in _LOADERS:
                    found.files_loaded.setdefault(_string(children[1].named_children[0]), _line(node))
                children = children[1:]
        case "for_statement":
            loop = next(
                child for child in children if child.type in ("for_loop_parameters", "loop_variable", "identifier")
            )
            names = {text_of(each) for each in ([loop] if not loop.named_children else loop.named_children)}
            children = [child for child in children if child.id != loop.id]
            _uses(children[0], declared, local, found)  # what is looped over does not see the loop's names
            local |= names
            children = children[1:]
        case "lambda_expression":
            names = {text_of(each) for each in _all(children[0]) if each.type == "identifier"}
            local |= names
            children = children[1:]
        case "member_expression":
            _output_read(node, declared, found)
    for child in children:
        _uses(child, declared, local, found)


def _output_read(node: Node, declared: set[str], found: Bicep) -> None:
    """`module.outputs.name`, `module!.outputs.name`, `modules[i].outputs.name`."""
    owner, name = node.named_children[0], node.named_children[-1]
    if owner.type != "member_expression" or text_of(owner.named_children[-1]) != "outputs":
        return
    symbol = text_of(next(each for each in _all(owner) if each.type == "identifier"))
    if symbol in found.modules:
        found.outputs_read.append((symbol, text_of(name), _line(node)))


def pairs(node: Node | None) -> Iterator[tuple[str, Node]]:
    """The keys and values of an object."""
    for pair in node.named_children if node is not None and node.type == "object" else ():
        if pair.type == "object_property" and len(pair.named_children) == 2:
            key, value = pair.named_children
            yield _string(key) if key.type == "string" else text_of(key), value


def _all(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _all(child)


def _string(node: Node) -> str:
    return "".join(text_of(each) for each in node.named_children)


def text_of(node: Node) -> str:
    return (node.text or b"").decode()


def _line(node: Node) -> int:
    return node.start_point[0] + 1
