"""``python -m volition``."""

from volition.cli import main

if __name__ == "__main__":
    main()
