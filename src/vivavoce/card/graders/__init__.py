"""Graders: deterministic rules first, then those of `rbr`, then a language model as a second opinion.

Rules are data (`rules.yaml`) and pure functions of text; `agreement` measures them on gold labels.
"""
