"""The benchmark: the bridge beside a forward-only relay, in one run on one machine. Run it with `python -m bench`.

`PYTHONPATH=tests:tests/support python -m bench` measures every figure, prints a table with its floors and writes it to
a file. Server, load and sink are processes of their own, all on loopback.
"""
