"""`python -m conductor` and the `conductor` command."""

from conductor.cli import main

if __name__ == "__main__":
    main()
