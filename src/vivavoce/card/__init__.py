"""The system card: examine any omni model in text and in speech, and say whether it may be deployed.

`evals` hold one evaluation a file, `providers` the endpoints that can be examined, `graders` what judges the answers,
`frameworks` the preparedness frameworks as data. Inspect runs them; everything after a run reads its logs only.
"""
