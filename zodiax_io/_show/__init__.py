"""What is in a file, shown: as data, as text, in notebooks, and as a page.

`_items` is the data that `summarise` gives; each other module turns it into one form.
"""

from ._items import (
    Item as Item,
    Summary as Summary,
    dotted as dotted,
    matches as matches,
    notation as notation,
    size_of as size_of,
    value_of as value_of,
)
from ._numbers import (
    Picture as Picture,
    Statistics as Statistics,
    picture_of as picture_of,
    statistics_of as statistics_of,
)
from ._page import page_of as page_of
from ._terminal import print_lines as print_lines
from ._text import (
    Line as Line,
    columns as columns,
    fitted as fitted,
    found_lines as found_lines,
    lines_of as lines_of,
    text_of as text_of,
)
