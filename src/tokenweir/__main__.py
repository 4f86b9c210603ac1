"""``python -m tokenweir`` is ``tokenweir``."""

from .cli import main

if __name__ == "__main__":
    main()
