"""`python -m messaging`: the command line."""

from messaging.cli import main

if __name__ == "__main__":
    main(prog_name="messaging")
