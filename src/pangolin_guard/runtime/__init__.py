"""The model at work: find and verify a folder, tokenize, score, decide.

Imports only `text`, `types` and `errors`; torch is touched by `torch_session` alone, on use.
"""
