"""Expressions of a recipe: labels, conditions and derived columns in one small language.

An expression is Python's own syntax cut down to names of columns, numbers, texts, arithmetic,
comparisons, `and`/`or`/`not`, `a if condition else b`, and the functions in `FUNCTIONS`. It is
checked when the recipe is loaded and evaluated on whole columns: with NumPy while labels are made,
and with TensorFlow inside the exported graph for derived columns, so that serving computes them as
training did.

Values: numbers are float64 with NaN for a missing value; texts are strings with "" for a missing
value; conditions are booleans. A comparison with a missing number is false.
"""

import ast
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

NUMERIC = ("int", "float")

# name → (types of the arguments, type of the result, what it does). "number" is int or float; a
# trailing "?" marks an argument that may be left out; "same" is the common type of the arguments.
FUNCTIONS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "log1p": (("number",), "float", "natural logarithm of 1 + x"),
    "sqrt": (("number",), "float", "square root"),
    "abs": (("number",), "same", "absolute value"),
    "floor": (("number",), "int", "largest whole number not above x"),
    "minimum": (("number", "number"), "same", "the smaller of two"),
    "maximum": (("number", "number"), "same", "the larger of two"),
    "clip": (("number", "number", "number"), "same", "x held between a lowest and a highest value"),
    "days": (("number", "number?"), "int", "day number since 1970-01-01 of a time; 2nd: hours from UTC"),
    "hour": (("number", "number?"), "int", "hour of the day, 0–23, of a time; 2nd: hours from UTC"),
    "weekday": (("number", "number?"), "int", "weekday of a time, Monday is 0; 2nd: hours from UTC"),
    "is_missing": (("any",), "bool", "true where the value is missing"),
    "if_missing": (("any", "any"), "same", "the first, or the second where the first is missing"),
    "lower": (("string",), "string", "text in lower case"),
    "cross": (("any", "any"), "string", "one id for the pair of both values"),
}

_ARITHMETIC = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.FloorDiv: "floor_divide",
    ast.Mod: "mod",
}
_COMPARE = {
    ast.Eq: "equal",
    ast.NotEq: "not_equal",
    ast.Lt: "less",
    ast.LtE: "less_equal",
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
}


class ExpressionError(ValueError):
    """An expression that cannot be read, names no column, or mixes types."""


def near(name: str, known: Iterable[str]) -> str:
    """The known name closest to a wrong one, or all of them if they are few, as a clause."""
    known = [str(k) for k in known]
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; there are: {', '.join(sorted(known))}" if 0 < len(known) <= 25 else ""


@dataclass(frozen=True)
class Expression:
    """A checked expression: its text, the columns it reads, and the type of its result."""

    text: str
    tree: ast.expr
    columns: frozenset[str]
    type: str

    def evaluate(self, values: Mapping[str, Any], operations: Any) -> Any:
        """Evaluates on columns of shape `[rows]`; `operations` has a method for each operation."""
        return _evaluate(self.tree, values, operations)


def parse(text: str, types: Mapping[str, str]) -> Expression:
    """Parses and type-checks an expression over columns of the given types.

    Args:
      text: the expression; a column's name alone is one.
      types: column name → "int", "float", "string" or "bool".

    Raises:
      ExpressionError: it is not valid, names an unknown column or function, or mixes types.
    """
    try:
        tree = ast.parse(str(text).strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(f"cannot be read: {getattr(error, 'msg', None) or error}") from None
    if len(str(text)) > 2000:
        raise ExpressionError("is longer than 2,000 characters; split it into derived columns")
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    try:
        return Expression(str(text), tree, frozenset(names - called), _type(tree, types))
    except RecursionError:
        raise ExpressionError("is nested too deeply; split it into derived columns") from None


def _fail(node: ast.AST, problem: str) -> NoReturn:
    raise ExpressionError(f"`{ast.unparse(node)}` {problem}")


def _number(node: ast.expr, types: Mapping[str, str]) -> str:
    kind = _type(node, types)
    if kind not in NUMERIC:
        _fail(node, f"is a {kind}; a number is needed here")
    return kind


def _boolean(node: ast.expr, types: Mapping[str, str]) -> None:
    kind = _type(node, types)
    if kind != "bool":
        _fail(node, f"is a {kind}; a condition is needed here, such as `{ast.unparse(node)} > 0`")


def _common(node: ast.AST, kinds: list[str]) -> str:
    if all(k in NUMERIC for k in kinds):
        return "float" if "float" in kinds else "int"
    if len(set(kinds)) > 1:
        _fail(node, f"mixes {' and '.join(sorted(set(kinds)))}")
    return kinds[0]


def _type(node: ast.expr, types: Mapping[str, str]) -> str:
    match node:
        case ast.Name(id=name):
            if name not in types:
                _fail(node, f"is not a column{near(name, types)}")
            if types[name] not in (*NUMERIC, "string", "bool"):
                _fail(node, f"is a {types[name]}; expressions read single values, not lists or vectors")
            return types[name]
        case ast.Constant(value=bool()):
            return "bool"
        case ast.Constant(value=int(value)):
            if abs(value) > 2**53:
                _fail(node, "is beyond 2**53; numbers in expressions are float64")
            return "int"
        case ast.Constant(value=float()):
            return "float"
        case ast.Constant(value=str()):
            return "string"
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _number(operand, types)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            _boolean(operand, types)
            return "bool"
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            kinds = [_number(left, types), _number(right, types)]
            if isinstance(op, ast.Div):
                return "float"
            return "int" if isinstance(op, ast.FloorDiv) else _common(node, kinds)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
            kind = _common(node, [_type(left, types), _type(right, types)])
            if kind == "string" and not isinstance(op, (ast.Eq, ast.NotEq)):
                _fail(node, "orders texts; texts can only be compared with == and !=")
            return "bool"
        case ast.Compare(ops=[_, _, *_]):
            _fail(node, "chains comparisons; write them with `and`")
        case ast.BoolOp(values=values):
            for value in values:
                _boolean(value, types)
            return "bool"
        case ast.IfExp(test=test, body=body, orelse=orelse):
            _boolean(test, types)
            return _common(node, [_type(body, types), _type(orelse, types)])
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            return _call_type(node, name, args, types)
    _fail(
        node,
        "is not allowed; use columns, numbers, texts, + - * / // %, comparisons, and/or/not, "
        f"`a if c else b`, and {', '.join(FUNCTIONS)}",
    )


def _call_type(node: ast.Call, name: str, args: list[ast.expr], types: Mapping[str, str]) -> str:
    if name not in FUNCTIONS:
        _fail(node, f"calls an unknown function '{name}'{near(name, FUNCTIONS)}")
    wanted, result, what = FUNCTIONS[name]
    least = sum(not w.endswith("?") for w in wanted)
    if not least <= len(args) <= len(wanted):
        _fail(
            node,
            f"has {len(args)} arguments; {name} ({what}) takes {least}"
            + (f" to {len(wanted)}" if least < len(wanted) else ""),
        )
    kinds = []
    for arg, want in zip(args, wanted):
        kinds.append(_number(arg, types) if want.startswith("number") else _type(arg, types))
        if want == "string" and kinds[-1] != "string":
            _fail(arg, f"is a {kinds[-1]}; {name} needs a text")
        if want == "number?" and not _is_literal_number(arg):
            _fail(arg, "must be a plain number: the hours from UTC")
    return _common(node, kinds) if result == "same" else result


def _is_literal_number(node: ast.expr) -> bool:
    return isinstance(node.operand if isinstance(node, ast.UnaryOp) else node, ast.Constant)


def _evaluate(node: ast.expr, values: Mapping[str, Any], ops: Any) -> Any:
    def ev(child: ast.expr) -> Any:
        return _evaluate(child, values, ops)

    match node:
        case ast.Name(id=name):
            return values[name]
        case ast.Constant(value=value):
            return ops.constant(value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return ops.subtract(ops.constant(0), ev(operand))
        case ast.UnaryOp(operand=operand):
            return ops.logical_not(ev(operand))
        case ast.BinOp(left=left, op=op, right=right):
            return getattr(ops, _ARITHMETIC[type(op)])(ev(left), ev(right))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return ops.compare(_COMPARE[type(op)], ev(left), ev(right))
        case ast.BoolOp(op=op, values=children):
            join = ops.logical_and if isinstance(op, ast.And) else ops.logical_or
            result = ev(children[0])
            for child in children[1:]:
                result = join(result, ev(child))
            return result
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return ops.where(ev(test), ev(body), ev(orelse))
        case ast.Call(func=ast.Name(id=name), args=args):
            return getattr(ops, name)(*[ev(a) for a in args])
    raise AssertionError(f"parse() let {ast.dump(node)} through")
