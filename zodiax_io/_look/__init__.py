"""Summaries of files and trees, and the differences of two, without loading a file.

Read `items` (the tree as data) and `summary` (how it is made) first; then `diff`. The
other modules turn the items into one form each, or compute what it shows:

- `numbers`, `pictures`: statistics and pictures of arrays, in few reads
- `text`, `terminal`: lines of text, and colours for them
- `notebook`, `thumbnails`, `treescope`: a foldable tree in a notebook
- `page`: a self-contained HTML page
"""
