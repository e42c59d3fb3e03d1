"""`python -m dilannot` is the same program as `dilannot`."""

from dilannot.cli import main

if __name__ == "__main__":
    main()
