"""What a network is called by its exits, and the exits that a name stands for: the paper's names, and lists.

Knows exits alone, 1 to the last, and no network that has them.
"""

from offramp.errors import InputError

STANDARD, MEM, SEM, LISTED = "standard", "mem", "sem-", "exits-"


def name_of(exits: tuple[int, ...]) -> str:
    """The paper's name for these exits, the last one included: standard, sem-k or mem; exits-2-5 and the like else.

    >>> name_of((9,)), name_of((3, 9)), name_of((1, 2, 3)), name_of((2, 5, 9))
    ('standard', 'sem-3', 'mem', 'exits-2-5')
    """
    *local, last = exits
    if not local:
        return STANDARD
    if local == list(range(1, last)):
        return MEM
    return f"{SEM}{local[0]}" if len(local) == 1 else LISTED + "-".join(map(str, local))


def parse_exits(text: str, last: int) -> tuple[int, ...]:
    """Read a model's name or list of exits; the last exit is always among them.

    >>> parse_exits("sem-3", 9), parse_exits("standard", 9), parse_exits("2,5", 9), parse_exits("exits-2-5", 9)
    ((3, 9), (9,), (2, 5, 9), (2, 5, 9))
    """
    names = {STANDARD: (), MEM: tuple(range(1, last))} | {f"{SEM}{k}": (k,) for k in range(1, last)}
    if text in names:
        return (*names[text], last)
    listed = text.removeprefix(LISTED).replace("-", ",") if text.startswith(LISTED) else text
    try:
        exits = {int(part) for part in listed.split(",")}
    except ValueError:
        exits = {0}
    if not all(1 <= exit_ <= last for exit_ in exits):
        raise InputError(
            f"model {text!r}: unknown. Choose standard, sem-1 to sem-{last - 1}, mem, or list exits between 1 and "
            f"{last} like 2,5."
        )
    return tuple(sorted(exits | {last}))


def parse_models(text: str, last: int) -> tuple[str, ...]:
    """Read a list of models; `all` stands for the standard network, every SEM and MEM.

    >>> parse_models("sem-2,mem,2+5", 9)
    ('sem-2', 'mem', 'exits-2-5')
    """
    wanted = [STANDARD, *(f"{SEM}{k}" for k in range(1, last)), MEM] if text == "all" else text.split(",")
    exits = (parse_exits(name.strip().replace("+", ","), last) for name in wanted)
    return tuple(dict.fromkeys(map(name_of, exits)))


def single(model: str) -> bool:
    """Whether a model, by its name, has at most one local exit.

    >>> single("standard"), single("sem-3"), single("mem"), single("exits-2-5")
    (True, True, False, False)
    """
    return model == STANDARD or model.startswith(SEM)
