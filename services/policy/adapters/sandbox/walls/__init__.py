"""The second wall: what a worker process gives up before its first instruction, so that a break out of the interpreter reaches nothing.

`launch` is the program that the pool starts (`sluice-sandbox`): it gives everything up (`confine`) and becomes the worker.
Each other module has one of the kernel's means. They import the standard library's smallest parts alone: every
replaced worker waits for them.
"""
