"""What is in a file, and how two differ, shown without loading.

Read `items` (the tree as data) and `summary` (how it is made) first; then `diff`. Of
the others, each turns the items into one form, or helps with it:

- `numbers`, `pictures`: statistics and pictures of arrays, in few reads
- `text`, `terminal`: lines of text, and colours for them
- `notebook`, `thumbnails`, `treescope`: a tree in a notebook that can be folded
- `page`: a page of HTML that needs nothing else
"""
