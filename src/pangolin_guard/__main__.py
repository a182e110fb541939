"""`python -m pangolin_guard` is the same as `pangolin`."""

from pangolin_guard.cli import main

if __name__ == "__main__":
    main()
