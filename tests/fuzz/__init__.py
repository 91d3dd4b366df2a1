"""The fuzz job: bytes that nobody thought of, for the readers of strangers' bytes and for the whole executor over HTTP.

`make fuzz SECONDS=60` runs every target of `targets.py` that long, guided by coverage where Atheris can be had (Linux on x86-64),
else by chance. What breaks a rule is kept in `crashers/<target>/` and tried by `test_crashers.py` ever after.
"""
