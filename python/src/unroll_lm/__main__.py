"""`python -m unroll_lm` is `unroll`."""
from . import main

main()
