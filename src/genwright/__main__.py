"""`python -m genwright`."""

from genwright.cli import main

main()
