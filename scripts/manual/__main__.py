"""Makes the manual: `reference` writes docs/reference/ from the code, `pages` what the site is built of."""

from __future__ import annotations

import sys
from pathlib import Path

from .reference import write
from .site_pages import write_pages

if __name__ == "__main__":
    if sys.argv[1:2] == ["reference"] and len(sys.argv) < 4:
        write(*map(Path, sys.argv[2:]))
    elif sys.argv[1:] == ["pages"]:
        write_pages()
    elif sys.argv[1:2] == ["pictures"] and len(sys.argv) == 3:
        from .pictures import take

        take(Path(sys.argv[2]))
    else:
        sys.exit("python -m manual reference [FOLDER] | pages | pictures PROJECT")
