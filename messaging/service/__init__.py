"""The commands: one async function each, in five steps — load, permit, decide, keep, tell.

What they need from outside stands in `ports`. `HANDLERS` names the function of every command.
"""
