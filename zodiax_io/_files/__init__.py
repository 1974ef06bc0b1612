"""What is on the disk: checkpoints, documents, and how they are replaced.

Read `checkpoint` (the files of one checkpoint, opened) and `commit` (files replaced as
one, or not at all) first. Of the others:

- `layouts`: the forms in which a checkpoint lies in one opened file
- `document`: the structure file, a checked frame around msgpack
- `extras`: further trees in a document, by name, known or not
- `sources`: the bytes of an open file, or of memory
- `saving`: which files a save replaces, and when it is refused
- `path_argument`, `folders`: the path that a caller gives; the checkpoints below a
  folder
- `legacy`: files of zodiax up to 0.4
"""
