"""A function that no file can hold: no function made it, and no variable is it."""

UNKEPT = [lambda *_: None]
