"""`python -m vecprop`: the command line, as `vecprop` is."""

from vecprop.cli import main

if __name__ == "__main__":
    main()
