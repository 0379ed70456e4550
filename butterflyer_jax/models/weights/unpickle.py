"""Pickles as data: the few opcodes that PyTorch's files are made of, none of which runs code of the file's choosing.

Python's own unpickler, told to know no other names, is not enough: damaged bytes make it take all memory, or crash.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from typing import Any

_MARK = object()
# Those whose argument is the value.
_VALUES = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"),
    # Of Python 2.
    *("BINSTRING", "SHORT_BINSTRING"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


def load(file: Any, names: Mapping[tuple[str, str], Any], refer: Callable[[tuple], Any]) -> Any:
    """Returns the object of the pickle that starts where `file` stands, and leaves the file behind it.

    Args:
      file: binary, with read, readline and tell.
      names: what (module, name) in the pickle stands for; a callable may be called by the pickle.
      refer: makes an object of a persistent id.

    Raises:
      ValueError and others: the pickle is damaged, uses another name, or an opcode that no tensors need.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}

    def pop_mark() -> list[Any]:
        for position in range(len(stack) - 1, -1, -1):
            if stack[position] is _MARK:
                items = stack[position + 1 :]
                del stack[position:]
                return items
        raise ValueError("its pickle is damaged")

    def find(module: str, name: str) -> Any:
        if (module, name) not in names:
            raise ValueError(
                f"it holds {module}.{name}, not weights alone; write it with torch.save(model.state_dict())"
            )
        return names[module, name]

    argument: Any
    for opcode, argument, _ in pickletools.genops(file):
        name: str = opcode.name
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("PROTO", "FRAME"):
            pass
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "TUPLE":
            stack.append(tuple(pop_mark()))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(stack[-count:])]
        elif name in ("SETITEM", "SETITEMS"):
            items = pop_mark() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            _of_type(stack[-1], dict).update(zip(items[::2], items[1::2], strict=True))
        elif name in ("APPEND", "APPENDS"):
            items = pop_mark() if name == "APPENDS" else [stack.pop()]
            _of_type(stack[-1], list).extend(items)
        elif name == "GLOBAL":
            stack.append(find(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(find(module, attribute))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(function(*_of_type(arguments, tuple)))
        elif name == "BUILD":
            # Attributes beside the tensors: versions of a state_dict's layers.
            stack.pop()
        elif name == "BINPERSID":
            stack.append(refer(_of_type(stack.pop(), tuple)))
        elif name == "STOP":
            [tree] = stack
            return tree
        else:
            raise ValueError(f"its pickle uses {name}, which tensors do not need")
    raise ValueError("its pickle is cut off")


def _of_type(item: Any, kind: type) -> Any:
    if not isinstance(item, kind):
        raise ValueError("its pickle is damaged")
    return item
