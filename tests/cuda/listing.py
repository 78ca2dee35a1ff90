"""What does a disassembled function say: which loads stand together, and what does a thread execute?"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence


def load_runs(instructions: tuple[str, ...], width: str) -> Iterator[list[str]]:
    """Yield runs of loads of a width: a run ends where a loaded register is used, and at branches and labels."""
    run: list[str] = []
    pending: set[int] = set()
    for instruction in instructions:
        load = re.search(r"\bLDG\b\S*" + width, instruction)
        targets, sources = _registers(instruction)
        if pending & sources or re.search(r"\b(BRA|EXIT|RET|CALL)\b|^\.", instruction):
            yield run
            run, pending = [], set()
        if load:
            run.append(instruction)
            pending |= targets
    yield run


def loop(instructions: tuple[str, ...], width: str, loads: int) -> list[str]:
    """Return the shortest loop that has at least so many loads of a width, without labels; empty if none has."""
    labels = {name: i for i, name in enumerate(instructions) if name.startswith(".")}
    found = []
    for end, instruction in enumerate(instructions):
        target = re.search(r"\bBRA\b.*`\((\.L_\w+)\)", instruction)
        if target and (begin := labels.get(target[1], end)) < end:
            body = [i for i in instructions[begin : end + 1] if not i.startswith(".")]
            if 0 < loads <= sum(bool(re.search(r"\bLDG\b\S*" + width, i)) for i in body):
                found.append(body)
    return min(found, key=len, default=[])


def path_length(instructions: tuple[str, ...], run: Sequence[str]) -> int:
    """Return the fewest instructions that a thread executes from the entry by way of a run of loads to its end."""
    through = instructions.index(run[-1])
    return _steps(instructions, 0, through) + _steps(instructions, through, len(instructions)) - 1


def _steps(instructions: tuple[str, ...], start: int, goal: int) -> int:
    """Return the fewest instructions from one place to another, both included; the goal may be the function's end."""
    labels = {name: i for i, name in enumerate(instructions) if name.startswith(".")}
    queue, seen = deque([(start, 0)]), {start}
    while queue:
        at, steps = queue.popleft()
        if at == goal:
            return steps + (goal < len(instructions))
        instruction = instructions[at]
        is_label = instruction.startswith(".")
        for place in _following(instructions, at, labels):
            if place not in seen and place <= max(goal, len(instructions) - 1):
                seen.add(place)
                # A label costs nothing, so what comes after one is looked at first.
                (queue.appendleft if is_label else queue.append)((place, steps + (not is_label)))
    raise ValueError("no way through the function passes its loads")


def _following(instructions: tuple[str, ...], at: int, labels: dict[str, int]) -> list[int]:
    """Return where a thread may go from an instruction: on, to a branch's label, or to the end of the function."""
    instruction = instructions[at]
    target = re.search(r"\bBRA\b.*`\((\.L_\w+)\)", instruction)
    ends = re.search(r"\b(EXIT|RET)\b", instruction)
    found = [labels[target[1]]] if target else [len(instructions)] if ends else []
    return found if (target or ends) and not instruction.startswith("@") else [*found, at + 1]


def _registers(instruction: str) -> tuple[set[int], set[int]]:
    """Return the registers that a load fills (none for other instructions), and those that an instruction names."""
    operands = re.sub(r"^@!?U?P\w+\s+", "", instruction)
    named = [int(n) for n in re.findall(r"(?<![A-Z\d])R(\d+)", operands)]
    if not re.match(r"LDG\b", operands):
        return set(), set(named if re.match(r"ST|RED|ATOM", operands) else named[1:])
    address = re.search(r"\[R(\d+)", operands)
    filled = re.findall(r"(?<![A-Z\d\[])R(\d+)", operands.split("desc[")[0].split("[")[0])
    bits = 128 if len(filled) > 1 else next((b for b in (256, 128, 64) if f".{b}" in operands.split()[0]), 32)
    targets = {int(first) + i for first in filled for i in range(bits // 32)}
    return targets, {int(address[1])} if address else set()
