"""What the stage of the training asks of the skills (`has` in mixture.toml). synthesise.py sets `now` for each stage; the evaluation has none of it."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    many_wordings: bool = False  # those of data/wordings/, words around a question, small words disturbed
    many_tools: bool = False     # many more than the evaluation draws its own from
    worked_out: bool = False     # comparisons digit by digit, several questions on numbers a chat
    more_products: bool = False  # twice as many among the sums
    mixed_chats: bool = False    # questions and calls of several skills in one chat
    uneven_pairs: bool = False   # half of the compared numbers differ in length
    commas: bool = False         # thousands marked in some of the calculator's operands, never in its expression


now = Stage()


def begin(has):
    global now
    now = Stage(**dict.fromkeys(has, True))
